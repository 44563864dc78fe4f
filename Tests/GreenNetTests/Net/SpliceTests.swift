import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SpliceTests {
    /// Four connections in a row: what is written to `client` comes, spliced, from `service`.
    private func row(
        unix: Bool = false
    ) throws -> (client: Connection, source: Connection, sink: Connection, service: Connection) {
        let (client, source) = try unix ? Connection.pair() : connectedConnections()
        let (sink, service) = try unix ? Connection.pair() : connectedConnections()
        return (client, source, sink, service)
    }

    @Test(arguments: [false, true])
    func `all bytes and the end come through, and the other direction stays open`(unix: Bool) throws {
        try onHub {
            let (client, source, sink, service) = try row(unix: unix)
            let bytes = pattern(Sanitizer.scaled(20_000_000, address: 2_000_000, thread: 1_000_000))
            try withGreenGroup { group in
                let passed = group.spawn { try splice(from: source, to: sink) }
                group.spawn {
                    try client.sendAll(bytes)
                    try client.shutdownSending()
                }
                expectSame(try service.receiveAll(), bytes)
                #expect(try passed.value() == bytes.count)
            }
            try service.sendAll("answer")
            #expect(try sink.receive() == Array("answer".utf8))
        }
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func `between address families each small message comes through at once`(ip: String) throws {
        try onHub {
            let listener = try Listener(on: SocketAddress(ip: ip, port: 0)!)
            let client = try Connection.connect(to: listener.address)
            let source = try listener.accept()
            let (sink, service) = try connectedConnections()
            let passing = spawn { try splice(from: source, to: sink) }
            for number in 0..<200 {
                try client.sendAll("message \(number)")
                #expect(try service.receive(until: .after(.seconds(5))) == Array("message \(number)".utf8))
            }
            client.close()
            #expect(try service.receive() == nil)
            _ = try passing.value()
        }
    }

    @Test(arguments: [0, 1, 65_537])
    func `a limit leaves what follows in the source, and passes on no end`(limit: Int) throws {
        try onHub {
            let (client, source, sink, service) = try row()
            let bytes = pattern(100_000)
            try client.sendAll(bytes)
            #expect(try splice(from: source, to: sink, upTo: limit) == limit)
            #expect(try source.receive(exactly: bytes.count - limit) == Array(bytes[limit...]))
            try sink.sendAll("!")
            #expect(try service.receive(exactly: limit + 1).dropLast() == bytes[..<limit])
        }
    }

    @Test func `a transfer that waits for its source holds no pipe, and one that is over keeps its pipe for the next`()
        throws
    {
        try onHub {
            let (client, source, sink, service) = try row()
            let passing = spawn { try splice(from: source, to: sink) }
            try client.sendAll("x")
            _ = try service.receive()
            try passing.waitUntilParked()
            #expect(Hub.currentThread.scheduler.fields.pointee.pipes.idle.count == 1)
            let rows = try (0..<5).map { _ in try row() }
            try Greenlet.sleep(for: .milliseconds(1))  // The hub has its own descriptors from its first wait on.
            let before = openDescriptors()
            let others = rows.map { row in spawn { try splice(from: row.source, to: row.sink) } }
            for other in others { try other.waitUntilParked() }
            #expect(openDescriptors() == before)
            client.close()
            for row in rows { row.client.close() }
            for transfer in [passing] + others { _ = try transfer.value() }
        }
    }

    @Test func `no more pipes are kept than the limit says`() throws {
        try onHub {
            let count = PipePool.limit + 4
            let rows = try (0..<count).map { _ in try row(unix: true) }
            for (client, _, sink, _) in rows {
                _ = sink.fill()
                try client.sendAll("x")
            }
            let transfers = rows.map { row in spawn { try splice(from: row.source, to: row.sink) } }
            for transfer in transfers { try transfer.waitUntilParked() }
            for row in rows { row.client.close() }
            for row in rows {
                let drain = spawn { while try row.service.receive() != nil {} }
                try drain.value()
            }
            for transfer in transfers { _ = try transfer.value() }
            #expect(Hub.currentThread.scheduler.fields.pointee.pipes.idle.count == PipePool.limit)
        }
    }

    @Test func `a killed transfer closes the pipe that has bytes in it, and tells how many are lost`() throws {
        try onHub {
            let (client, source, sink, service) = try row(unix: true)
            defer { service.close() }
            _ = sink.fill()
            try client.sendAll("lost")
            try Greenlet.sleep(for: .milliseconds(1))  // The hub has its own descriptors from its first wait on.
            let before = openDescriptors()
            let passing = spawn { () -> TransferError? in
                do throws(TransferError) { try splice(from: source, to: sink) } catch { return error }
                return nil
            }
            try passing.waitUntilParked()
            #expect(openDescriptors() == before + 2)
            passing.kill()
            let error = try #require(try passing.value())
            #expect(error.isCancellation)
            #expect((error.side, error.transferred, error.lost) == (.sink, 0, 4))
            #expect(openDescriptors() == before)
            #expect(Hub.currentThread.scheduler.fields.pointee.pipes.idle.isEmpty)
        }
    }

    @Test func `a sink that is gone is an error of the sink, and never a signal`() throws {
        try onHub {
            let (client, source, sink, service) = try row()
            service.close()
            let passing = spawn { () -> TransferError? in
                do throws(TransferError) { try splice(from: source, to: sink) } catch { return error }
                return nil
            }
            let sender = spawn {
                while true {
                    try client.sendAll("x")
                    try Greenlet.sleep(for: .milliseconds(1))
                }
            }
            defer { sender.kill() }
            let error = try #require(try passing.value())
            #expect(error.side == .sink)
            #expect(error.isPeerGone)
            #expect(error.description.contains("\(sink.peer)"))
            #expect(error.description.hasSuffix(" with \(error.lost) lost") == (error.lost > 0))
        }
    }

    @Test func `a source that was reset is an error of the source, after what it had sent`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let client = try Peer(connectedTo: listener.address)
            let source = try listener.accept()
            let (sink, service) = try connectedConnections()
            let passing = spawn { () -> TransferError? in
                do throws(TransferError) { try splice(from: source, to: sink) } catch { return error }
                return nil
            }
            client.write(pattern(1000))
            expectSame(try service.receive(exactly: 1000), pattern(1000))
            client.reset()
            let error = try #require(try passing.value())
            #expect((error.side, error.transferred, error.lost) == (.source, 1000, 0))
            #expect(error.error.errno == SystemError(ECONNRESET))
            #expect(error.description.hasSuffix("connection reset by peer (ECONNRESET), after 1000 bytes"))
        }
    }

    @Test func `without a descriptor left for a pipe, the error says so, and nothing is lost`() throws {
        try onHub {
            let (client, source, sink, _) = try row()
            try client.sendAll("here")
            let error = withRoomForNone { () throws(TransferError) in try splice(from: source, to: sink) }
            #expect(error?.error.errno == SystemError(EMFILE))
            #expect(error?.error.call == .pipe)
            #expect(try source.receive() == Array("here".utf8))
        }
    }

    private func withRoomForNone(_ body: () throws(TransferError) -> Int) -> TransferError? {
        try? withRoom(forDescriptors: 0) {
            do throws(TransferError) { _ = try body() } catch { return error }
            return nil
        }
    }

    @Test func `kills and deadlines at any moment leak no pipe, and no byte comes twice or in another order`() throws {
        try onHub(.seconds(120)) {
            for seed in 0..<UInt64(Sanitizer.scaled(150, address: 40, thread: 40)) {
                var random = SeededRandom(seed: seed)
                let (client, source, sink, service) = try row(unix: Bool.random(using: &random))
                let bytes = pattern(400_000, seed: Int(seed))
                let sender = spawn { try client.sendAll(bytes) }
                let receiver = spawn { () -> [UInt8] in
                    var received: [UInt8] = []
                    while let more = try service.receive() { received += more }
                    return received
                }
                let deadline = Deadline.after(.microseconds(Int.random(in: 0...800, using: &random)))
                let passing = spawn { () -> Int in
                    do throws(TransferError) { return try splice(from: source, to: sink, until: deadline) } catch {
                        #expect(error.isTimeout || error.isCancellation)
                        return error.transferred
                    }
                }
                let pause = Int.random(in: 0...800, using: &random)
                try Greenlet.sleep(for: .microseconds(pause))
                passing.kill()
                let passed = try passing.value()
                sink.close()
                let received = try receiver.value()
                expectSame(received, Array(bytes[..<passed]))
                sender.kill()
                try sender.join()
            }
        }
    }
}
