import ArgumentParser
import GreenNet
import ProgramKit

/// `echo-client ping`: one round trip, for health checks.
struct Ping: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check the health of a service: one round trip.",
        discussion: """
            Sends a short text and compares the answer with it.

            EXAMPLES
              echo-client ping
              echo-client ping ::1 7777 --timeout 0.5
              echo-client ping --unix-socket /run/echo.sock --transform echo

            EXIT STATUS
              0   healthy: the correct answer came in time
              1   not healthy
              64  invalid option
            """
    )

    @OptionGroup var target: Target

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Limit for connecting and answering together, fractions allowed.", valueName: "seconds")
    )
    var timeout = "5"

    @Option(help: "What the service does with the bytes; any accepts upper and echo.")
    var transform = ExpectedTransform.any

    /// Letters that a transform changes, and a byte pair that it must not.
    static let question = [UInt8]("Ping \u{E9}\n".utf8)

    private var limit: Duration { get throws { try NumericOptions.Client.timeout.number(in: timeout) } }

    func validate() throws {
        _ = try limit
        try transform.checkAnswers()
    }

    func run() throws {
        let limit = try limit
        let deadline = Deadline.after(limit)
        let connection = try target.open(within: limit)
        defer { connection.close() }
        let time = try roundTrip(over: connection, within: limit, until: deadline)
        try StandardStreams.write("\(connection.peer) answered in \(time.inMilliseconds)\n")
    }

    private func roundTrip(
        over connection: ServiceStream, within limit: Duration, until deadline: Deadline
    ) throws -> Duration {
        let start = Deadline.now
        var answer: [UInt8] = []
        do {
            try Ping.question.withUnsafeBytes { try connection.sendAll($0, until: deadline) }
            while answer.count < Ping.question.count {
                let left = Ping.question.count - answer.count
                let more = try [UInt8](unsafeUninitializedCapacity: left) { buffer, count in
                    count = try connection.receive(into: UnsafeMutableRawBufferPointer(buffer), until: deadline) ?? 0
                }
                if more.isEmpty { break }
                answer += more
            }
        } catch {
            guard error.netError?.waitError == .deadlinePassed else { throw error }
            throw Failure.noAnswer(connection.peer, received: answer.count, sent: Ping.question.count, after: limit)
        }
        let time = Deadline.now - start
        if answer.count < Ping.question.count {
            throw Failure.missing(connection.peer, received: answer.count, sent: Ping.question.count, nil)
        }
        if !transform.explains(answer, to: Ping.question) { throw Failure.wrongAnswer(connection.peer) }
        return time
    }
}
