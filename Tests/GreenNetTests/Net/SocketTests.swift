import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct ReadinessTests {
    // MARK: Readiness without a read

    @Test func `a short read is not followed by another before more comes`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(5))
            let before = LibraryCall.receive.count
            #expect(try connection.receive(upTo: 100) == pattern(5))
            #expect(!connection.socket.mayReceive)
            #expect(LibraryCall.receive.count == before + 1)

            let next = spawn { try connection.receive(upTo: 100) }
            try next.waitUntilParked()
            #expect(LibraryCall.receive.count == before + 1)
            peer.write(pattern(3))
            #expect(try next.value() == pattern(3))
            #expect(LibraryCall.receive.count == before + 2)
        }
    }

    @Test func `a read that fills its buffer is followed by another without waiting`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            let passes = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try passes.waitUntilParked()
            #expect(try connection.receive(upTo: 4) == Array(pattern(10)[..<4]))
            #expect(connection.socket.mayReceive)
            #expect(try connection.receive(upTo: 4, until: .now) == Array(pattern(10)[4..<8]))
            #expect(connection.socket.mayReceive)
            #expect(try connection.receive(upTo: 4, until: .now) == Array(pattern(10)[8...]))
            #expect(!connection.socket.mayReceive)
            passes.kill()
        }
    }

    @Test func `bytes that come while no green thread receives are found without waiting`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try drainFirstRead(connection, peer)
            peer.write(pattern(3))
            try waitUntil { connection.socket.mayReceive }
            #expect(try connection.receive(upTo: 4, until: .now) == pattern(3))
        }
    }

    /// The watcher is still started from the read before.
    @Test func `bytes that come while no green thread receives do not keep the loop busy`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try drainFirstRead(connection, peer)
            peer.write(pattern(3))
            try waitUntil { connection.socket.mayReceive }
            #expect(try busyTime(for: .milliseconds(200)) < .milliseconds(60))
            #expect(try connection.receive(upTo: 4) == pattern(3))
        }
    }

    @Test func `an end that comes while no green thread receives does not keep the loop busy`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try drainFirstRead(connection, peer)
            peer.close()
            try waitUntil { connection.socket.mayReceive }
            #expect(try busyTime(for: .milliseconds(200)) < .milliseconds(60))
            #expect(try connection.receive() == nil)
        }
    }

    @Test func `room to send does not keep the loop busy after a wait for it`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let sender = spawn { try connection.sendAll(pattern(100_000)) }
            try sender.waitUntilParked()
            _ = try peer.read(exactly: 100_000)
            try sender.join()
            #expect(try busyTime(for: .milliseconds(200)) < .milliseconds(60))
        }
    }

    /// Leaves `connection` with an empty socket and its watcher started.
    private func drainFirstRead(_ connection: Connection, _ peer: Peer) throws {
        let first = spawn { try connection.receive(upTo: 100) }
        try first.waitUntilParked()
        peer.write(pattern(5))
        #expect(try first.value() == pattern(5))
        #expect(!connection.socket.mayReceive)
    }

    private func busyTime(for length: Duration) throws -> Duration {
        let before = processorTime()
        try Greenlet.sleep(for: length)
        return processorTime() - before
    }

    // MARK: One waiter for each direction

    @Test func `a second green thread that receives stops the program`() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try onHub {
                let (connection, peer) = try connectedPair()
                spawn { try connection.receive(upTo: 1) }
                try spawn { try connection.receive(upTo: 1) }.join(until: .after(.seconds(2)))
                peer.close()
            }
        }
        expectMessage("two green threads receive from descriptor", in: result)
    }

    @Test func `a second green thread that sends stops the program`() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try onHub {
                let (connection, peer) = try narrowPair()
                spawn { try connection.sendAll(pattern(1 << 20)) }
                try spawn { try connection.sendAll(pattern(1 << 20)) }.join(until: .after(.seconds(2)))
                peer.close()
            }
        }
        expectMessage("two green threads send to descriptor", in: result)
    }

    /// Only debug builds say why.
    private func expectMessage(_ message: String, in result: ExitTest.Result?) {
        #if DEBUG
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains(message))
        #endif
    }

    @Test func `one green thread receives while another sends`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let receiver = spawn { try connection.receive(upTo: 10) }
            let sender = spawn { try connection.sendAll(pattern(100_000)) }
            try receiver.waitUntilParked()
            try sender.waitUntilParked()
            peer.write([1])
            #expect(try receiver.value() == [1])
            #expect(sender.state == .waiting)
            expectSame(try peer.read(exactly: 100_000), pattern(100_000))
            try sender.value()
        }
    }

    @Test func `connections that are served come before new ones`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let (connection, peer) = try connectedPair()
            var order: [String] = []
            let acceptor = spawn {
                _ = try listener.accept()
                order.append("accept")
            }
            let receiver = spawn {
                _ = try connection.receive(upTo: 1)
                order.append("receive")
            }
            try acceptor.waitUntilParked()
            try receiver.waitUntilParked()
            peer.write([1])
            let client = try Peer(connectedTo: listener.address)
            try joinBoth(acceptor, receiver)
            #expect(order == ["receive", "accept"])
            client.close()
        }
    }

    private func joinBoth(_ one: AnyGreenlet, _ other: AnyGreenlet) throws {
        try one.join()
        try other.join()
    }

    // MARK: A hub that was held up

    /// More connections than the kernel reports to a loop at once, at first.
    private static let crowd = 200

    /// Blocks the hub, as if the process was stopped or had no processor for a while.
    private func holdUp(beyond length: Duration) { block(until: .after(length * 2)) }

    @Test func `bytes that came in time are received even if the hub looks after the deadline`() throws {
        try onHub {
            let pairs = try (0..<ReadinessTests.crowd).map { _ in try connectedPair() }
            let length = Duration.milliseconds(100)
            let receivers = pairs.map { pair in spawn { try pair.0.receive(upTo: 10, until: .after(length)) } }
            for receiver in receivers { try receiver.waitUntilParked() }
            for (number, pair) in pairs.enumerated() { pair.1.write([UInt8(number)]) }
            holdUp(beyond: length)
            for (number, receiver) in receivers.enumerated() { #expect(try receiver.value() == [UInt8(number)]) }
        }
    }

    @Test func `room that came in time is used even if the hub looks after the deadline`() throws {
        try onHub {
            let pairs = try (0..<ReadinessTests.crowd).map { _ in try narrowPair() }
            let stall = Duration.seconds(1) * Sanitizer.slowness
            let senders = pairs.map { pair in
                spawn { try pattern(100_000).withUnsafeBytes { try pair.0.sendAll($0, stall: stall) } }
            }
            for sender in senders { try sender.waitUntilParked() }
            for pair in pairs { while case .bytes = pair.1.read() {} }
            holdUp(beyond: stall)
            let readers = pairs.map { pair in spawn { while try pair.1.ending() != .end {} } }
            for (number, sender) in senders.enumerated() {
                try sender.value()
                try pairs[number].0.shutdownSending()
            }
            for reader in readers { try reader.value() }
        }
    }

    // MARK: The dump

    @Test func `the hub's dump shows which green thread waits for which descriptor`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let receiver = spawn(name: "reader") { try connection.receive(upTo: 1) }
            let sender = spawn(name: "writer") { try connection.sendAll(pattern(1 << 20)) }
            try sender.waitUntilParked()
            try receiver.waitUntilParked()
            let number = connection.descriptor
            let dump = Hub.current.description
            #expect(
                dump.contains("green thread \(receiver.id) (reader): waits for descriptor \(number) to be readable"))
            #expect(dump.contains("green thread \(sender.id) (writer): waits for descriptor \(number) to be writable"))
            receiver.kill()
            sender.kill()
            peer.close()
        }
    }

    // MARK: The same number again

    @Test func `an event for the earlier owner of a descriptor's number wakes no green thread`() throws {
        try onHub {
            let (old, oldPeer) = try connectedPair()
            let (reserve, peer) = try connectedPair()
            let waiting = spawn { failure { () throws(NetError) in try old.receive(upTo: 1) } }
            try waiting.waitUntilParked()
            oldPeer.write([1])
            let number = old.descriptor
            old.close()
            try #require(dup2(reserve.descriptor, number) == number)
            _ = fcntl(number, F_SETFL, O_NONBLOCK)
            reserve.close()
            let new = Connection(descriptor: number, peer: loopback)
            let receiver = spawn { try new.receive(upTo: 10) }
            #expect(try waiting.value()?.waitError == .closed)
            try receiver.waitUntilParked()
            let calls = LibraryCall.receive.count
            for _ in 0..<5 { try Greenlet.sleep(for: .milliseconds(1)) }
            #expect(receiver.state == .waiting)
            #expect(LibraryCall.receive.count == calls)
            peer.write([2])
            #expect(try receiver.value() == [2])
        }
    }
}
