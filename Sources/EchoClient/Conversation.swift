import Glibc
import GreenNet

/// Sends standard input to the service and shows its answers, until both have ended.
///
/// Each direction has a green thread, for neither may wait for the other: a service whose answers are not read stops reading.
final class Conversation {
    private let connection: ServiceStream
    /// Counted before sending, so that no answer is ever early.
    private var sent = 0
    private var received = 0
    /// How long it may wait for what is owed while no byte moves either way; nil for ever.
    private let limit: Duration?
    /// When a byte last moved, or the wait for one began.
    private var lastMoved = Deadline.now

    /// For each direction.  Four times what a pipe holds.
    private static let bufferSize = 256 << 10

    init(over connection: ServiceStream, idleLimit limit: Duration?) {
        (self.connection, self.limit) = (connection, limit)
    }

    /// Gives every answer to `show`, with the news whether all is answered now and there may be more input.
    ///
    /// Throws `Failure` where not as many bytes came back as were sent or the input can't be read, an error of the network, and what
    /// `show` throws.
    func run(show: (_ answer: UnsafeRawBufferPointer, _ isComplete: Bool) throws -> Void) throws {
        let sender = spawn(name: "input") { [self] in try sendInput() }
        defer { stop(sender) }
        try withBuffer { buffer in
            while let answer = try receive(into: buffer, sender) {
                try show(answer, received == sent && !sender.hasEnded)
                if received > sent { throw Failure.surplus(connection.peer, received: received, sent: sent) }
            }
        }
        try judge(sender)
    }

    /// At the end of the stream.
    private func judge(_ sender: Greenlet<Void>) throws {
        let isInputSent = sender.hasEnded
        // What kept the input from being sent is also the reason for what is missing.
        if isInputSent { try sender.value() }
        if received < sent { throw missing() }
        if !isInputSent { throw Failure.endedBeforeInput(connection.peer) }
    }

    private func missing(_ errno: SystemError? = nil) -> Failure {
        .missing(connection.peer, received: received, sent: sent, errno)
    }

    private func stop(_ sender: Greenlet<Void>) {
        sender.kill()
        // Taken notice of, or the hub would report it as well.
        _ = try? sender.value()
    }

    /// Nil at the end of the stream.
    private func receive(
        into buffer: UnsafeMutableRawBufferPointer, _ sender: Greenlet<Void>
    ) throws -> UnsafeRawBufferPointer? {
        // Showing the last answer may have taken long.
        lastMoved = .now
        var deadline = limit.map { lastMoved + $0 } ?? .never
        while true {
            do {
                guard let count = try connection.receive(into: buffer, until: deadline) else { return nil }
                received += count
                return UnsafeRawBufferPointer(rebasing: buffer[..<count])
            } catch {
                guard error.netError?.waitError == .deadlinePassed, let limit else {
                    throw error.isBrokenOff && received < sent ? missing(error.netError?.errno) : error
                }
                deadline = try nextDeadline(limit, after: deadline, sender)
            }
        }
    }

    /// Until when to go on waiting, when nothing came until `deadline`.  Throws `Failure` where that was too long.
    private func nextDeadline(_ limit: Duration, after deadline: Deadline, _ sender: Greenlet<Void>) throws -> Deadline
    {
        let isOwed = received < sent || sender.hasEnded
        // While nothing is owed, the input takes the time that it takes.
        if !isOwed { return .after(limit) }
        if lastMoved + limit > .now { return lastMoved + limit }
        // What came while this process was stopped counts.
        if deadline.nanoseconds != 0 { return Deadline(nanoseconds: 0) }
        throw received < sent
            ? Failure.noAnswer(connection.peer, received: received, sent: sent, after: limit)
            : Failure.notEnded(connection.peer, received: received, after: limit)
    }

    // MARK: Sending

    private func sendInput() throws {
        // After a failure too: the service then ends its side, and what it still owes is shown.
        defer { try? connection.shutdownSending() }
        do {
            try withBuffer { buffer in
                while let bytes = try StandardStreams.read(into: buffer) {
                    sent += bytes.count
                    try sendAll(bytes)
                }
            }
        } catch  where error.isBrokenOff {
            // The receiver sees the same, and says what is missing.
        }
    }

    private func sendAll(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        lastMoved = .now
        while !rest.isEmpty {
            let count = try connection.send(rest)
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            lastMoved = .now
        }
    }

    private func withBuffer(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 64)
        defer { buffer.deallocate() }
        try body(buffer)
    }
}

extension Error {
    /// The service itself has ended the connection, without having read all of what it was sent.
    fileprivate var isBrokenOff: Bool { [ECONNRESET, EPIPE].contains(netError?.errno?.code) }
}
