import GreenNet
import TestSupport

/// What a client of the soak repeats.
enum SoakClient: String, CaseIterable {
    /// Sends a request every now and then, and reads the answers.
    case steady
    /// Connects and leaves.
    case churning
    /// Sends many bytes, ends its side, and reads all that comes back.
    case halfClosing
    /// Ends with a reset at any moment.
    case resetting
    /// Is silent for a while, perhaps for longer than the idle timeout.
    case silent
    /// Sends without reading for a while, perhaps for longer than the write timeout.
    case flooding

    /// The number of clients of this kind.  In a pool each of them has its turn too.
    func count(for model: ServerModel) -> Int {
        if model.isPool { return 1 }
        return switch self {
        case .steady: 8
        case .churning: 4
        case .halfClosing, .resetting, .flooding: 3
        case .silent: 10
        }
    }

    /// One connection from its beginning to its end, and a pause.  Throws `SoakLoss` or `NetError` if the server ends the connection early.
    func visit(_ server: Server, _ random: inout SeededRandom, _ tally: SoakTally) throws {
        tally.attempts += 1
        switch self {
        case .steady: try SoakClient.ask(server, &random, tally, times: 20...200)
        case .churning: try SoakClient.ask(server, &random, tally, times: 0...1)
        case .halfClosing: try SoakClient.halfClose(server, &random, tally)
        case .resetting: try SoakClient.reset(server, &random, tally)
        case .silent: try SoakClient.stay(server, &random, tally) { _ = try $0.receive() }
        case .flooding: try SoakClient.stay(server, &random, tally) { try $0.send(.max, of: .upper) }
        }
        try SoakClient.pause(5...20, &random)
    }

    private static func ask(
        _ server: Server, _ random: inout SeededRandom, _ tally: SoakTally, times: ClosedRange<Int>
    ) throws {
        let connection = try server.connect()
        defer { connection.close() }
        tally.connected += 1
        for _ in 0..<Int.random(in: times, using: &random) {
            let (start, count) = (Int.random(in: 0..<100_000, using: &random), Int.random(in: 1...4096, using: &random))
            try connection.sendAll(RandomStream.upper.bytes(start, count))
            let answer = try connection.receive(exactly: count, until: .after(SoakClient.patience))
            try answer.withUnsafeBytes { try RandomStream.upper.check($0, at: start) }
            guard answer.count == count else { throw SoakLoss() }
            tally.answers += 1
            try pause(2...15, &random)
        }
    }

    private static func halfClose(_ server: Server, _ random: inout SeededRandom, _ tally: SoakTally) throws {
        let connection = try server.connect()
        defer { connection.close() }
        tally.connected += 1
        let count = Int.random(in: 1...300_000, using: &random)
        let sender = spawn(name: "sender") {
            try connection.send(count, of: .upper)
            try connection.shutdownSending()
        }
        defer { sender.kill() }
        let received = try withTimeout(SoakClient.patience) { try connection.expect(.upper) }
        try sender.value()
        guard received == count else { throw SoakLoss() }
        tally.answers += 1
        try pause(20...50, &random)
    }

    private static func reset(_ server: Server, _ random: inout SeededRandom, _ tally: SoakTally) throws {
        let socket = try RawSocket(port: server.port)
        tally.connected += 1
        socket.sendNow(Int.random(in: 0...100_000, using: &random))
        try pause(0...20, &random)
        socket.reset()
    }

    /// Leaves after some time, unless the server has disconnected it before.
    private static func stay(
        _ server: Server, _ random: inout SeededRandom, _ tally: SoakTally, _ body: (Connection) throws -> Void
    ) throws {
        let connection = try server.connect()
        defer { connection.close() }
        tally.connected += 1
        let end = Deadline.after(.milliseconds(Int.random(in: 500...8000, using: &random)))
        while !end.hasPassed, !tally.isOver {
            do {
                return try withTimeout(.milliseconds(100)) { try body(connection) }
            } catch is TimedOut {
                continue
            } catch is NetError {
                return
            }
        }
    }

    /// The time for an answer, including the time in the queue of a pool.
    private static let patience = Duration.patient(60)

    private static func pause(_ milliseconds: ClosedRange<Int>, _ random: inout SeededRandom) throws {
        try Greenlet.sleep(for: .milliseconds(Int.random(in: milliseconds, using: &random)))
    }
}

/// A connection that ended before all was answered.
struct SoakLoss: Error {}

/// What all clients of a soak have seen together.
final class SoakTally {
    /// If set, a client that ends does not connect again.
    var isOver = false
    var attempts = 0
    var connected = 0
    var answers = 0
    /// Connections that ended before all was answered, as when their process was killed.
    var lost = 0
}
