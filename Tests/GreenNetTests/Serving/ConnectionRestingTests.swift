import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Connections that give up their green threads while they wait.
struct ConnectionRestingTests {
    @Test func `an idle connection has no green thread, and answers all the same`() throws {
        try onHub {
            let server = try RestingServer()
            let client = try server.connect()
            for round in 1...3 {
                try waitUntil { server.handlers == 0 }
                #expect(server.openConnections == 1 && server.isResting)
                let runs = server.runs
                client.write(pattern(100, seed: round))
                #expect(try client.read(exactly: 100) == pattern(100, seed: round))
                #expect(server.runs == runs + 1)
            }
            #expect(server.ends.isEmpty)
            client.finish()
            #expect(try client.ending() == .end)
            try server.stop()
            #expect(server.ends == [.done])
            #expect(server.failures.isEmpty)
        }
    }

    @Test func `a thousand idle connections take little, and each answers rightly`() throws {
        try onHub(.seconds(60)) {
            let count = Sanitizer.scaled(1000, address: 200, thread: 100)
            let server = try RestingServer()
            let clients = try (0..<count).map { _ in try server.connect() }
            try waitUntil { server.handlers == 0 }
            #expect(Hub.current.statistics.greenThreads <= 4)
            let pool = Hub.current.scheduler
            try waitUntil { !pool.fields.pointee.stacks.hasMuch }
            for (number, client) in clients.enumerated() { client.write(pattern(50, seed: number)) }
            for (number, client) in clients.enumerated().reversed() {
                #expect(try client.read(exactly: 50) == pattern(50, seed: number))
            }
            #expect(server.runs == 2 * count)
            try server.stop()
            #expect(server.ends == Array(repeating: .cancelled, count: count))
        }
    }

    @Test(.disabled(if: Sanitizer.active != .none, "a sanitizer keeps what was freed"))
    func `four thousand connections that rest take a kilobyte and a half each at most`() async throws {
        try await #require(processExitsWith: .success) {
            try TestThread {
                let server = try RestingServer()
                var clients = try (0..<200).map { _ in try server.connect() }
                try waitUntil { server.handlers == 0 }
                try Greenlet.sleep(for: .seconds(1))
                let before = try residentBytes() + pageTableBytes()
                clients += try (0..<4000).map { _ in try server.connect() }
                var each = 0
                let isLittle = try eventually(within: .seconds(5)) {
                    try Greenlet.sleep(for: .milliseconds(50))
                    each = try (residentBytes() + pageTableBytes() - before) / 4000
                    return each < 1536
                }
                #expect(isLittle, "\(each) bytes each")
                try server.stop()
            }.value()
        }
    }

    @Test func `what was sent while the handler unwound is not forgotten`() throws {
        try onHub {
            let server = try RestingServer()
            let client = try server.connect()
            for number in 0..<20 {
                // As the wait ends, and before its green thread runs.
                try waitUntil { server.handlers == 1 || server.isResting }
                server.service.beginSweep()
                _ = server.service.sweep(10, at: .now + .seconds(60))
                client.write(pattern(10, seed: number))
                #expect(try client.read(exactly: 10) == pattern(10, seed: number))
            }
            try server.stop()
        }
    }

    @Test func `a client that goes while its connection rests is noticed`() throws {
        try onHub {
            let server = try RestingServer()
            let clients = try (0..<3).map { _ in try server.connect() }
            try waitUntil { server.handlers == 0 }
            clients[0].close()
            clients[1].reset()
            try withExtendedLifetime(clients) { try waitUntil { server.openConnections == 1 } }
            #expect(Set(server.ends) == [.done, .peerGone])
            try server.stop()
        }
    }

    @Test func `a deadline holds on while the connection rests`() throws {
        try onHub {
            let server = try RestingServer(idleTimeout: .seconds(1))
            let begin = Deadline.now
            let clients = try (0..<3).map { _ in try server.connect() }
            try waitUntil { server.handlers == 0 }
            #expect(server.openConnections == 3)
            try Greenlet.sleep(for: .milliseconds(500))
            clients[2].write(pattern(10))
            try withExtendedLifetime(clients) {
                try waitUntil { server.openConnections == 1 }
                let took = Deadline.now - begin
                #expect(took >= .seconds(1) && took < .seconds(1) + RestingConnections.precision + slack)
                #expect(server.ends == [.idle, .idle])
            }
            #expect(server.failures.count == 2 && server.failures.allSatisfy { $0.contains("deadline passed") })
            try server.stop()
        }
    }

    // MARK: The end of the server

    @Test func `a server that is stopped ends what rests`() throws {
        try onHub {
            let server = try RestingServer()
            let clients = try (0..<5).map { _ in try server.connect() }
            try waitUntil { server.handlers == 0 }
            try server.stop()
            #expect(server.ends == Array(repeating: .cancelled, count: 5))
            #expect(server.failures.isEmpty)
            for client in clients { #expect(try client.ending() == .end) }
        }
    }

    @Test func `at the deadline of a drain what rests runs once more, and ends`() throws {
        try onHub {
            let server = try RestingServer()
            let clients = try (0..<300).map { _ in try server.connect() }
            try waitUntil { server.handlers == 0 }
            try server.drain(until: .after(.milliseconds(100)))
            withExtendedLifetime(clients) {}
            #expect(server.runs == 600)
            #expect(server.ends == Array(repeating: .done, count: 300))
        }
    }

    @Test func `a connection that rests in an idle wait ends as the drain begins`() throws {
        try onHub {
            let server = try RestingServer(isIdle: true)
            let client = try server.connect()
            try waitUntil { server.handlers == 0 }
            let begin = Deadline.now
            try server.drain(until: .after(.seconds(60)))
            withExtendedLifetime(client) {}
            #expect(Deadline.now - begin < .seconds(10))
            #expect(server.ends == [.done])
        }
    }

    @Test func `a hub that closes ends what rests`() throws {
        let ends = try onHub {
            let server = try RestingServer()
            let clients = try (0..<3).map { _ in try server.connect() }
            try waitUntil { server.handlers == 0 }
            Hub.current.close()
            withExtendedLifetime(clients) {}
            return server.ends
        }
        #expect(ends == Array(repeating: .cancelled, count: 3))
    }

    @Test func `a connection that its program closes while it rests ends as any other`() throws {
        try onHub {
            let server = try RestingServer()
            let client = try server.connect()
            try waitUntil { server.handlers == 0 }
            server.lastConnection!.close()
            #expect(try client.ending() == .end)
            try waitUntil { server.openConnections == 0 }
            #expect(server.ends == [.cancelled])
            #expect(server.failures.count == 1)
            try server.stop()
        }
    }

    // MARK: What does not rest

    @Test func `inside a time limit, shielded, or in another wait, nothing rests`() throws {
        try onHub {
            let other = try connectedPair()
            let bodies: [(Connection) throws -> Void] = [
                { connection in try withTimeout(.seconds(60)) { _ = try connection.receive() } },
                { connection in try shielded { _ = try connection.receive() } },
                { _ in _ = try other.0.receive() },
                { _ in try Greenlet.sleep(for: .seconds(60)) },
                { connection in try spawn { _ = try? connection.receive() }.value() },
            ]
            for body in bodies {
                let server = try RestingServer { connection in try body(connection) }
                let client = try server.connect()
                try waitUntil { server.handlers == 1 }
                for _ in 0..<3 {
                    server.service.beginSweep()
                    _ = server.service.sweep(10, at: .now + .seconds(60))
                    try Greenlet.yield()
                }
                #expect(server.handlers == 1)
                client.close()
                if server.openConnections > 0 { try server.stop() }
            }
        }
    }

    @Test func `for a connection that no server serves, the body runs once`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            var runs = 0
            try connection.restingWhenIdle(for: .nanoseconds(1)) {
                runs += 1
                let bytes = try connection.receive()
                #expect(bytes == pattern(10))
            }
            #expect(runs == 1)
        }
    }

    @Test func `a connection that no server serves reports its end behind the body`() throws {
        try onHub {
            let (connection, _) = try connectedPair()
            var ends: [ConnectionEnd] = []
            try connection.restingWhenIdle(for: .seconds(1), atEnd: { ends.append($0) }) { #expect(ends.isEmpty) }
            let failing = { throw NetError(.recv, .wait(.deadlinePassed), connection.peer) }
            #expect(throws: NetError.self) {
                try connection.restingWhenIdle(for: .seconds(1), atEnd: { ends.append($0) }, failing)
            }
            #expect(ends == [.done, .idle])
        }
    }

    @Test func `where the body throws or returns, so does the call`() throws {
        try onHub {
            let server = try RestingServer { _ in throw SystemError(EIO) }
            _ = try server.connectBriefly()
            try waitUntil { server.ends == [.failed] }
            try server.stop()
        }
    }
}

/// An echo server whose connections rest after a millisecond, which is looked at every quarter of a second.
private final class RestingServer {
    let server: StreamServer
    private let log = Log()

    private final class Log {
        var handlers = 0
        var runs = 0
        var failures: [String] = []
        var ends: [ConnectionEnd] = []
        var endsOfConnections: [ConnectionEnd] = []
        var lastConnection: Connection?
    }

    convenience init(idleTimeout: Duration? = nil, isIdle: Bool = false) throws {
        try self.init { connection in
            func receive() throws -> [UInt8]? {
                try connection.receive(until: idleTimeout.map { .after($0) } ?? .never)
            }
            while let bytes = try isIdle ? connection.withIdle({ try receive() }) : receive() {
                try connection.sendAll(bytes)
            }
        }
    }

    init(_ body: @escaping (Connection) throws -> Void) throws {
        let log = log
        server = StreamServer(
            try Listener(on: loopback), onFailure: { _, error in log.failures.append("\(error)") }
        ) { connection in
            log.lastConnection = connection
            try connection.restingWhenIdle(for: .milliseconds(1), atEnd: { log.endsOfConnections.append($0) }) {
                log.handlers += 1
                log.runs += 1
                defer { log.handlers -= 1 }
                try body(connection)
            }
        }
        server.onEnd = { log.ends.append($0) }
        server.start()
    }

    /// Bodies that run now.
    var handlers: Int { log.handlers }
    /// Bodies that have begun.
    var runs: Int { log.runs }
    var failures: [String] { log.failures }
    /// As the server reports them, and each connection by itself.
    var ends: [ConnectionEnd] {
        #expect(log.ends == log.endsOfConnections)
        return log.ends
    }
    var lastConnection: Connection? { log.lastConnection }
    var openConnections: Int { server.openConnections }
    var service: GreenService { (server.model as! GreenModel).service }
    var isResting: Bool { service.resting.count > 0 }

    func connect() throws -> Peer {
        let (before, runs) = (openConnections, runs)
        let client = try connectBriefly()
        try waitUntil { openConnections > before && self.runs > runs }
        return client
    }

    /// The connection may end at once.
    func connectBriefly() throws -> Peer { try Peer(connectedTo: server.listeners[0].address) }

    func drain(until deadline: Deadline) throws { try server.drain(until: deadline) }
    func stop() throws { try server.stop() }
}
