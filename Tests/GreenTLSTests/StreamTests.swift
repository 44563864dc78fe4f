import Glibc
import TestSupport
import Testing

@testable import GreenNet
@testable import GreenTLS

@Suite struct StreamTests {
    // MARK: - Bytes

    @Test(arguments: [1, 2, 16_383, 16_384, 16_385, 65_536, 65_537, 3 << 20])
    func `bytes arrive as they were sent`(count: Int) throws {
        try onHub {
            let pair = try connectedPair()
            let bytes = pattern(count)
            let sender = spawn {
                try pair.server.sendAll(bytes)
                try pair.server.shutdownSending()
            }
            expectSame(try pair.client.receiveAll(), bytes)
            try sender.value()
        }
    }

    @Test func `a small buffer gets all bytes, piece by piece`() throws {
        try onHub {
            let pair = try connectedPair()
            let bytes = pattern(40_000)
            try pair.client.sendAll(bytes)
            try pair.client.shutdownSending()
            var received: [UInt8] = []
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 7, alignment: 1)
            defer { buffer.deallocate() }
            while let count = try pair.server.receive(into: buffer) { received += buffer[..<count] }
            expectSame(received, bytes)
        }
    }

    @Test func `no bytes are sent without a wait, and without a record`() throws {
        try onHub {
            let pair = try connectedPair()
            try pair.client.sendAll([UInt8]())
            try pair.client.sendAll("x")
            #expect(try pair.server.receive() == [UInt8(ascii: "x")])
        }
    }

    @Test func `records in pieces of one byte are put together`() throws {
        try onHub {
            let (below, other) = try connectedConnections()
            let trickle = Trickle(below)
            let client = try TLSConnection(trickle, clientContext(), serverName: "localhost")
            let server = try TLSConnection(other, serverContext())
            let serving = spawn {
                try server.handshake()
                try server.sendAll(pattern(3000))
                try server.shutdownSending()
            }
            try client.handshake()
            expectSame(try client.receiveAll(), pattern(3000))
            try serving.value()
        }
    }

    @Test func `both sides send at once what no buffer holds`() throws {
        try onHub {
            let pair = try connectedPair()
            let (up, down) = (pattern(4 << 20, seed: 1), pattern(4 << 20, seed: 2))
            let senders = [(pair.client, up), (pair.server, down)].map { side, bytes in
                spawn {
                    try side.sendAll(bytes)
                    try side.shutdownSending()
                }
            }
            let receiver = spawn { try pair.server.receiveAll() }
            expectSame(try pair.client.receiveAll(), down)
            expectSame(try receiver.value(), up)
            for sender in senders { try sender.value() }
        }
    }

    @Test func `new keys are taken in the middle of a stream, in both directions`() throws {
        try onHub {
            let pair = try connectedPair()
            let echo = spawn {
                while let bytes = try pair.server.receive() { try pair.server.sendAll(bytes) }
                try pair.server.shutdownSending()
            }
            for round in 0..<20 {
                #expect((round % 2 == 0 ? pair.client : pair.server).engine.updateKeys())
                try pair.client.sendAll(pattern(5000, seed: UInt64(round)))
                var answer: [UInt8] = []
                while answer.count < 5000 {
                    answer += try #require(try pair.client.receive(until: .after(.seconds(20))))
                }
                expectSame(answer, pattern(5000, seed: UInt64(round)))
            }
            try pair.client.shutdownSending()
            #expect(try pair.client.receive() == nil)
            try echo.value()
        }
    }

    // MARK: - Ends

    @Test func `after one side has ended its stream, the other one goes on sending`() throws {
        try onHub {
            let pair = try connectedPair()
            try pair.client.shutdownSending()
            #expect(failure { () throws(TLSError) in try pair.client.sendAll("x") }?.kind == "failed")
            #expect(try pair.server.receive() == nil)
            #expect(try pair.server.receive() == nil)
            for _ in 0..<3 {
                try pair.server.sendAll("late")
                #expect(try pair.client.receive() == Array("late".utf8))
            }
            try pair.server.shutdownSending()
            #expect(try pair.client.receive() == nil)
        }
    }

    @Test func `an end of the stream below alone is no end, but an error`() throws {
        try onHub {
            let pair = try connectedPair()
            try pair.client.sendAll("half")
            try (pair.client.stream as! Connection).shutdownSending()
            #expect(try pair.server.receive() == Array("half".utf8))
            for _ in 0..<2 {
                let error = failure { () throws(TLSError) in try pair.server.receive() }
                #expect(error?.kind == "truncated" && error?.isPeerGone == true)
                #expect(
                    error?.reasonInWords
                        == "the stream has ended without TLS's end (close_notify), and may be cut short")
            }
        }
    }

    @Test func `a record that is cut is not received, and is an error`() throws {
        try onHub {
            let (below, other) = try connectedConnections()
            let cut = Trickle(below)
            let client = try TLSConnection(cut, clientContext(), serverName: "localhost")
            let server = try TLSConnection(other, serverContext())
            let serving = spawn { try server.handshake() }
            try client.handshake()
            try serving.value()
            cut.sendLimit = 50
            try client.sendAll(pattern(1000))
            try below.shutdownSending()
            #expect(failure { () throws(TLSError) in try server.receive() }?.kind == "truncated")
        }
    }

    @Test func `close sends the end where there is room, and a connection that is dropped does not`() throws {
        try onHub {
            let closed = try connectedPair()
            closed.client.close()
            closed.client.close()
            #expect(try closed.server.receive() == nil)
            var dropped: (client: TLSConnection?, server: TLSConnection) = try connectedPair()
            // Unread bytes, such as the sessions that the server offers, would make a reset of the end.
            try dropped.server.sendAll("x")
            #expect(try dropped.client!.receive() == [UInt8(ascii: "x")])
            dropped.client = nil
            #expect(failure { () throws(TLSError) in try dropped.server.receive() }?.kind == "truncated")
        }
    }

    @Test func `a green thread that waits in a call is woken by close`() throws {
        try onHub {
            let pair = try connectedPair()
            let receiver = spawn { try pair.client.receive() }
            try waitUntil { receiver.state == .waiting }
            pair.client.close()
            #expect(throws: TLSError.self) { try receiver.value() }
            #expect(failure { () throws(TLSError) in try pair.client.sendAll("x") }?.waitError == .closed)
            #expect(failure { () throws(TLSError) in try pair.client.receive() }?.waitError == .closed)
        }
    }

    @Test func `after finishReceiving on the connection below, the end is a clean one`() throws {
        try onHub {
            let pair = try connectedPair()
            (pair.server.stream as! Connection).finishReceiving()
            #expect(try pair.server.receive() == nil)
            try pair.server.sendAll("bye")
            #expect(try pair.client.receive() == Array("bye".utf8))
        }
    }

    @Test func `bytes that are no record break the connection, and the other side is told`() throws {
        try onHub {
            let pair = try connectedPair()
            try (pair.client.stream as! Connection).sendAll([23, 3, 3, 0, 20] + pattern(20))
            let error = failure { () throws(TLSError) in try pair.server.receive() }
            #expect(error?.kind == "failed")
            #expect(failure { () throws(TLSError) in try pair.client.receive() }?.alertName == "bad_record_mac")
        }
    }

    // MARK: - Deadlines and kills

    @Test func `receive ends at its deadline, and nothing is lost`() throws {
        try onHub {
            let pair = try connectedPair()
            let deadline = Deadline.after(.milliseconds(20))
            let error = failure { () throws(TLSError) in try pair.client.receive(until: deadline) }
            #expect(error?.isTimeout == true && deadline.hasPassed)
            try pair.server.sendAll("later")
            #expect(try pair.client.receive() == Array("later".utf8))
        }
    }

    @Test func `a send that ends at its deadline leaves whole records: the stream goes on`() throws {
        try onHub {
            let pair = try connectedPair()
            let bytes = [UInt8](repeating: 7, count: 32 << 20)
            let error = failure { () throws(TLSError) in
                try pair.server.sendAll(bytes, until: .after(.milliseconds(50)))
            }
            #expect(error?.isTimeout == true)
            let receiver = spawn { try pair.client.receiveAll() }
            try pair.server.sendAll("end", until: .after(.seconds(20)))
            try pair.server.shutdownSending()
            let received = try receiver.value()
            #expect(received.suffix(3) == Array("end".utf8)[...])
            expectSame(Array(received.dropLast(3)), Array(bytes.prefix(received.count - 3)))
            #expect((received.count - 3) % (64 << 10) == 0)
        }
    }

    @Test func `a client that reads nothing ends a send with a stall, and one that reads slowly does not`() throws {
        try onHub {
            let pair = try connectedPair()
            let bytes = [UInt8](repeating: 7, count: 16 << 20)
            func send(_ stall: Duration) -> TLSError? {
                failure { () throws(TLSError) in
                    try bytes.withUnsafeBufferPointer { bytes throws(TLSError) in
                        try pair.server.sendAll(UnsafeRawBufferPointer(bytes), stall: stall)
                    }
                }
            }
            #expect(send(.milliseconds(30))?.waitError == .deadlinePassed)
            let receiver = spawn { try pair.client.receiveAll() }
            #expect(send(.seconds(20)) == nil)
            try pair.server.shutdownSending()
            #expect(try receiver.value().count > 16 << 20)
        }
    }

    @Test func `over a stream that is no connection, a send that was cut ends all sending`() throws {
        try onHub {
            let (below, other) = try connectedConnections()
            let client = try TLSConnection(Trickle(below), clientContext(), serverName: "localhost")
            let server = try TLSConnection(other, serverContext())
            let serving = spawn { try server.handshake() }
            try client.handshake()
            try serving.value()
            for _ in 0..<2 {
                let error = failure { () throws(TLSError) in
                    try client.sendAll([UInt8](repeating: 7, count: 32 << 20), until: .after(.milliseconds(30)))
                }
                #expect(error?.waitError == .deadlinePassed)
            }
        }
    }

    @Test func `kills at any point leave no green thread, no descriptor, and the other side with an error`() throws {
        let (client, server) = (try clientContext(), try serverContext())
        let bytes = pattern(100_000)
        try onHub(.seconds(120)) {
            for moment in 0..<Sanitizer.scaled(40, address: 20, thread: 10) {
                let pair = try unreadyPair(client: client, server: server)
                let victim = spawn {
                    defer { pair.client.close() }
                    try pair.client.handshake()
                    try pair.client.sendAll(bytes)
                    _ = try pair.client.receiveAll(until: .never)
                }
                let other = spawn {
                    defer { pair.server.close() }
                    try pair.server.handshake()
                    while let bytes = try pair.server.receive() { try pair.server.sendAll(bytes) }
                }
                for _ in 0..<moment { try Greenlet.yield() }
                victim.kill()
                try victim.join()
                // One that was killed before it began has not closed it.
                pair.client.close()
                try other.join()
                #expect(victim.state == .killed)
                _ = other.result
            }
        }
    }

    // MARK: - Many

    @Test func `two hundred connections echo at once`() throws {
        let (client, server) = (try clientContext(), try serverContext())
        try onHub {
            let listener = try Listener(on: .loopback(port: 0))
            let accepting = spawn {
                try withGreenGroup { group in
                    for _ in 0..<200 {
                        let below = try listener.accept()
                        group.spawn {
                            let tls = try TLSConnection(below, server)
                            try tls.handshake()
                            while let bytes = try tls.receiveView() { try tls.sendAll(UnsafeRawBufferPointer(bytes)) }
                            try tls.shutdownSending()
                        }
                    }
                }
            }
            let clients = (0..<200).map { number in
                spawn {
                    let below = try Connection.connect(to: listener.address)
                    let tls = try TLSConnection(below, client, serverName: "localhost")
                    try tls.handshake()
                    let bytes = pattern(20_000, seed: UInt64(number))
                    let sender = spawn {
                        for start in stride(from: 0, to: bytes.count, by: 1000) {
                            try tls.sendAll(Array(bytes[start..<start + 1000]))
                            try Greenlet.yield()
                        }
                        try tls.shutdownSending()
                    }
                    expectSame(try tls.receiveAll(until: .never), bytes)
                    try sender.value()
                }
            }
            for client in clients { try client.value() }
            try accepting.value()
        }
    }

    // MARK: - Without a hub

    @Test func `blocking connections speak TLS too, with deadlines`() throws {
        let (client, server) = (try clientContext(), try serverContext())
        try onOSThread {
            let (near, far) = try blockingPair()
            let serving = TestThread {
                let tls = try TLSConnection(far(), server)
                try tls.handshake(until: .after(.seconds(20)))
                while let bytes = try tls.receive(until: .after(.seconds(20))) { try tls.sendAll(bytes) }
                try tls.shutdownSending()
                tls.close()
            }
            let tls = try TLSConnection(near(), client, serverName: "localhost")
            try tls.handshake(until: .after(.seconds(20)))
            let error = failure { () throws(TLSError) in try tls.receive(until: .after(.milliseconds(20))) }
            #expect(error?.isTimeout == true)
            let bytes = pattern(100_000)
            try tls.sendAll(bytes)
            try tls.shutdownSending()
            expectSame(try tls.receiveAll(), bytes)
            tls.close()
            try serving.value()
            #expect(Context.running == nil)
        }
    }

    /// Made on the OS thread that uses it.
    private func blockingPair() throws -> (@Sendable () -> Connection, @Sendable () -> Connection) {
        var sockets: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        try #require(socketpair(AF_UNIX, kind, 0, &sockets) == 0)
        let (near, far) = (sockets[0], sockets[1])
        return (
            { Connection(blocking: near, peer: .unix(path: ""), receiveBufferSize: 1000) },
            { Connection(blocking: far, peer: .unix(path: ""), receiveBufferSize: 1000) }
        )
    }
}

/// A stream that is no `Connection`: it gives a byte at a time, and may cut what it sends.
final class Trickle: ByteStream {
    private let below: Connection
    var sendLimit = Int.max

    init(_ below: Connection) { self.below = below }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        try below.receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(1)), until: deadline)
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws {
        try below.sendAll(UnsafeRawBufferPointer(rebasing: bytes.prefix(sendLimit)), until: deadline)
    }

    func shutdownSending() throws { try below.shutdownSending() }
    func close() { below.close() }
}
