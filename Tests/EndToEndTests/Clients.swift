import Glibc
import GreenNet
import TestSupport
import Testing

extension Server {
    func connect() throws -> Connection { try Connection.connect(to: address, until: .after(.patient(10))) }

    /// Whether the server accepts one more client, which leaves at once.
    func isAccepting() throws -> Bool {
        do throws(NetError) {
            try Connection.connect(to: address).close()
            return true
        } catch {
            // A client that connects at the moment of the close is reset.
            if [ECONNREFUSED, ECONNRESET].contains(error.errno?.code) { return false }
            throw error
        }
    }

    /// Connects one client after the other, each of which leaves at once, until killed.
    func keepComing() throws {
        while true {
            // Any error is expected: the server may have stopped, or the system may have no port left.
            if let connection = try? Connection.connect(to: address) { connection.close() }
            try Greenlet.yield()
        }
    }

    /// Sends `text` over a connection of its own, ends that side, and returns all that comes back.
    func answer(to text: String) throws -> String { String(decoding: try answer(to: Array(text.utf8)), as: UTF8.self) }

    func answer(to bytes: [UInt8]) throws -> [UInt8] {
        let connection = try connect()
        defer { connection.close() }
        try connection.sendAll(bytes)
        try connection.shutdownSending()
        return try connection.receiveToEnd()
    }

    /// Sends `count` bytes of `stream`, ends that side, and expects the right answer to each, and then the end.
    func exchange(
        _ count: Int, of stream: RandomStream, from start: Int = 0, pieces: @escaping () -> Int = { 65_536 }
    ) throws {
        let connection = try connect()
        defer { connection.close() }
        try connection.exchange(count, of: stream, from: start, pieces: pieces)
    }
}

extension Connection {
    /// Sends while it receives: a service whose answers are not read stops reading.
    func exchange(
        _ count: Int, of stream: RandomStream, from start: Int = 0, pieces: @escaping () -> Int = { 65_536 }
    ) throws {
        let sender = spawn(name: "sender") { [self] in
            try send(count, of: stream, from: start, pieces: pieces)
            try shutdownSending()
        }
        defer { sender.kill() }
        let received = try expect(stream, from: start)
        try sender.value()
        if received != count { throw Unexpected("\(received) bytes came back, \(count) were sent") }
    }

    func send(_ count: Int, of stream: RandomStream, from start: Int = 0, pieces: () -> Int = { 65_536 }) throws {
        var sent = 0
        while sent < count {
            let size = min(pieces(), count - sent)
            try stream.withBytes(start + sent, size) { try sendAll($0) }
            sent += size
        }
    }

    /// Receives to the end of the stream, checks every byte, and returns the number of bytes.
    func expect(_ stream: RandomStream, from start: Int = 0) throws -> Int {
        var received = 0
        while let bytes = try receiveView() {
            try stream.check(UnsafeRawBufferPointer(bytes), at: start + received)
            received += bytes.count
        }
        return received
    }

    /// Sends `text` and expects `answer`; the connection stays open.
    func expect(_ answer: String, to text: String) throws {
        try sendAll(Array(text.utf8))
        let received = String(decoding: try receive(exactly: answer.utf8.count), as: UTF8.self)
        if received != answer { throw Unexpected("'\(received)' came in answer to '\(text)', not '\(answer)'") }
    }

    func receiveToEnd() throws -> [UInt8] { try receiveAll() }
}

/// Runs `body` on `count` green threads at once, numbered from 0, and returns what each returned.  Throws the first error.
@discardableResult
func inParallel<R>(_ count: Int, _ body: @escaping (Int) throws -> R) throws -> [R] {
    let workers = (0..<count).map { number in spawn(name: "worker \(number)") { try body(number) } }
    defer {
        for worker in workers {
            worker.kill()
            _ = try? worker.value()
        }
    }
    return try workers.map { try $0.value() }
}

/// As `eventually`, while the hub's other green threads go on.
func eventuallyOnHub(within limit: Duration = .seconds(10), _ condition: () throws -> Bool) throws -> Bool {
    let deadline = Deadline.after(limit * Sanitizer.slowness)
    while try !condition() {
        if deadline.hasPassed { return false }
        try Greenlet.sleep(for: .milliseconds(1))
    }
    return true
}

extension Program {
    /// As `waitForExit`, while the hub's other green threads go on.
    func waitForExitOnHub(within limit: Duration = .seconds(10)) throws -> Exit {
        let hasEnded = try eventuallyOnHub(within: limit) {
            standardOutput.collect()
            standardError.collect()
            return self.hasEnded
        }
        guard hasEnded else { throw failure("still runs after \(limit)") }
        return try waitForExit()
    }

    /// As `waitForLine`, while the hub's other green threads go on.
    @discardableResult
    func waitOnHub(
        forLineContaining text: String, count: Int = 1, within limit: Duration = .seconds(10)
    ) throws -> String {
        var lines: [String] = []
        let isThere = try eventuallyOnHub(within: limit) {
            lines = standardError.lines.filter { $0.contains(text) }
            return lines.count >= count
        }
        guard isThere else { throw failure("no line with '\(text)' within \(limit)") }
        return lines[count - 1]
    }
}
