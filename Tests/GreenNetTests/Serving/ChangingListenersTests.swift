import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Listeners that are added to a server that runs, and taken away.
struct ChangingListenersTests {
    private func expectAnswer(from address: SocketAddress) throws {
        let client = try Peer(connectedTo: address)
        client.write(pattern(10))
        #expect(try client.read(exactly: 10) == pattern(10))
        client.close()
    }

    @Test func `a listener that is added is accepted from, and one that is removed refuses and keeps its connections`()
        throws
    {
        try onHub {
            let (first, second) = (try Listener(on: loopback), try Listener(on: loopback))
            let server = StreamServer(first) { try echo($0) }
            server.start()
            let old = try Peer(connectedTo: first.address)
            old.write(pattern(10))
            #expect(try old.read(exactly: 10) == pattern(10))
            server.add(second)
            try expectAnswer(from: second.address)
            server.remove(first)
            #expect(server.listeners.map(\.address) == [second.address])
            #expect(throws: NetError.self) { try Connection.connect(to: first.address) }
            old.write(pattern(10))
            #expect(try old.read(exactly: 10) == pattern(10))
            try expectAnswer(from: second.address)
            old.close()
            try server.stop()
        }
    }

    @Test func `what the kernel has queued is accepted before a listener is removed`() throws {
        try onHub {
            let (first, second) = (try Listener(on: loopback), try Listener(on: loopback))
            let server = StreamServer(first, second) { try echo($0) }
            server.start()
            // No green thread of the server has had a turn since.
            let clients = try (0..<5).map { _ in try Peer(connectedTo: first.address) }
            server.remove(first)
            for client in clients {
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
                client.close()
            }
            try server.stop()
        }
    }

    @Test func `clients of a listener that was removed get places that come free elsewhere`() throws {
        try onHub {
            let (first, second) = (try Listener(on: loopback), try Listener(on: loopback))
            let admission = SharedPlaces()
            let server = StreamServer([first, second], admission: admission) { try echo($0) }
            server.start()
            admission.free = 0
            let clients = try (0..<2).map { _ in try Peer(connectedTo: first.address) }
            server.remove(first)
            #expect(server.hasPending)
            for client in clients {
                client.write(pattern(10))
                #expect(client.read() == .nothing)
                // As where a connection of another server has ended, or the limit was raised.
                admission.free += 1
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            #expect(!server.hasPending)
            for client in clients { client.close() }
            try server.stop()
        }
    }

    @Test func `a server that stops while clients wait for a place leaves no green thread behind`() throws {
        try onHub {
            let (first, second) = (try Listener(on: loopback), try Listener(on: loopback))
            let admission = SharedPlaces(lookInterval: .seconds(1000))
            let server = StreamServer([first, second], admission: admission) { try echo($0) }
            server.start()
            admission.free = 0
            let client = try Peer(connectedTo: first.address)
            server.remove(first)
            try Greenlet.yield()
            try server.stop()
            #expect(client.read() == .end)
            try waitUntil { !"\(Hub.current)".contains("without a place") }
        }
    }

    @Test func `a server that waits for its start takes listeners, and one that has stopped closes them`() throws {
        try onHub {
            let (first, second) = (try Listener(on: loopback), try Listener(on: loopback))
            let server = StreamServer(first) { try echo($0) }
            server.add(second)
            server.remove(first)
            server.start()
            try expectAnswer(from: second.address)
            try server.stop()
            let third = try Listener(on: loopback)
            server.add(third)
            #expect(third.isClosed)
        }
    }

    @Test func `a server whose other listeners have ended runs on with a new one, until that ends too`() throws {
        try onHub {
            let (first, second) = (try Listener(on: loopback), try Listener(on: loopback))
            let server = StreamServer(first) { try echo($0) }
            server.start()
            server.add(second)
            first.close()
            for _ in 0..<10 { try Greenlet.yield() }
            server.remove(first)
            try expectAnswer(from: second.address)
            let running = spawn { try server.run() }
            for _ in 0..<10 { try Greenlet.yield() }
            #expect(!running.hasEnded)
            second.close()
            try running.value()
        }
    }
}

private func echo(_ connection: Connection) throws {
    while let bytes = try connection.receive() { try connection.sendAll(bytes) }
}

/// Places that other servers have too.
private final class SharedPlaces: Admission {
    var free = 10
    let lookInterval: Duration?

    init(lookInterval: Duration = .milliseconds(10)) { self.lookInterval = lookInterval }

    func reserve() -> Bool {
        guard free > 0 else { return false }
        free -= 1
        return true
    }
    func release() { free += 1 }
    func admit(_ peer: SocketAddress) -> Bool { true }
    func leave(_ peer: SocketAddress) {}
}
