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
