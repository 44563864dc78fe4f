import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct ConnectionReceivingTests {
    @Test func `receive parks until the peer writes`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let receiver = spawn { try connection.receive(upTo: 100) }
            try receiver.waitUntilParked()
            peer.write(pattern(10))
            #expect(try receiver.value() == pattern(10))
        }
    }

    @Test func `receive returns what is there and does not wait for more`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            #expect(try connection.receive(upTo: 100) == pattern(10))
            peer.write(pattern(20))
            #expect(try connection.receive() == pattern(20))
        }
    }

    @Test func `receive returns the end of the stream, and returns it again`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            peer.finish()
            #expect(try connection.receive(upTo: 100) == pattern(10))
            for _ in 0..<3 {
                #expect(try connection.receive() == nil)
                #expect(try connection.receive(upTo: 100) == nil)
                #expect(try connection.receiveView() == nil)
                #expect(try connection.receiveAll() == [])
                #expect(try connection.withReceivedBytes { _ in } == nil)
                #expect(try withTemporaryBuffer(10) { buffer in try connection.receive(into: buffer) } == nil)
            }
        }
    }

    @Test func `a waiting receiver gets the end of the stream`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let receiver = spawn { try connection.receive() == nil }
            try receiver.waitUntilParked()
            peer.finish()
            #expect(try receiver.value())
        }
    }

    @Test func `receive of an exact count waits for all of it`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let receiver = spawn { try connection.receive(exactly: 10) }
            for byte in pattern(10) {
                try receiver.waitUntilParked()
                peer.write([byte])
                try waitUntil { receiver.hasEnded || !connection.socket.mayReceive }
            }
            #expect(try receiver.value() == pattern(10))
        }
    }

    @Test func `receive of an exact count says how many bytes came where the stream ends before`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(4))
            peer.finish()
            let error = failure { () throws(NetError) in try connection.receive(exactly: 10) }
            #expect(error?.ending == .endOfStream(received: 4, wanted: 10))
            #expect(error?.description == "cannot receive from \(peer.address): the stream ended after 4 of 10 bytes")
            #expect(error?.isPeerGone == true)
            let again = failure { () throws(NetError) in try connection.receive(exactly: 1) }
            #expect(again?.ending == .endOfStream(received: 0, wanted: 1))
        }
    }

    @Test func `receive of an exact count takes no memory for bytes that have not come`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(4))
            peer.finish()
            let error = failure { () throws(NetError) in try connection.receive(exactly: .max) }
            #expect(error?.ending == .endOfStream(received: 4, wanted: .max))
        }
    }

    @Test func `receiveAll waits for the end of the stream, or for as many bytes as it may take`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let bytes = pattern(200_000)
            let writer = spawn {
                try peer.writeAll(bytes)
                peer.finish()
            }
            #expect(try connection.receiveAll(upTo: 0) == [])
            expectSame(try connection.receiveAll(upTo: 1000), Array(bytes[..<1000]))
            expectSame(try connection.receiveAll(), Array(bytes[1000...]))
            try writer.value()
        }
    }

    @Test func `what receive returned stays as it is when other connections receive`() throws {
        try onHub {
            let (one, onePeer) = try connectedPair()
            let (other, otherPeer) = try connectedPair()
            onePeer.write(pattern(10, seed: 1))
            otherPeer.write(pattern(10, seed: 2))
            let (first, second) = (try one.receive(), try other.receive())
            #expect(first == pattern(10, seed: 1))
            #expect(second == pattern(10, seed: 2))
        }
    }

    // MARK: In place

    @Test func `what a body is lent stays its own while it waits and others receive`() throws {
        try onHub {
            let (one, onePeer) = try connectedPair()
            let (other, otherPeer) = try connectedPair()
            onePeer.write(pattern(10, seed: 1))
            let body = spawn {
                try one.withReceivedBytes { bytes in
                    bytes.storeBytes(of: 0, as: UInt8.self)
                    try Greenlet.sleep(for: .milliseconds(20))
                    return bytes.bytes.withUnsafeBytes { Array($0) }
                }
            }
            try body.waitUntilParked()
            for seed in 2..<5 {
                otherPeer.write(pattern(20, seed: seed))
                #expect(try other.receive() == pattern(20, seed: seed))
            }
            #expect(try body.value() == [0] + pattern(10, seed: 1)[1...])
            otherPeer.write(pattern(10))
            #expect(try other.receive() == pattern(10))
        }
    }

    @Test func `bodies may be inside one another, on one connection too`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10, seed: 1))
            try connection.withReceivedBytes { outer in
                peer.write(pattern(10, seed: 2))
                try connection.withReceivedBytes { inner in
                    #expect(inner.bytes.withUnsafeBytes { Array($0) } == pattern(10, seed: 2))
                }
                #expect(outer.bytes.withUnsafeBytes { Array($0) } == pattern(10, seed: 1))
                try connection.sendAll(outer.bytes)
            }
            #expect(try peer.read(exactly: 10) == pattern(10, seed: 1))
        }
    }

    @Test func `an error of the body comes out, and receiving goes on`() throws {
        struct Refused: Error {}
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            #expect(throws: Refused.self) { try connection.withReceivedBytes { _ in throw Refused() } }
            peer.write(pattern(20))
            #expect(try connection.receive() == pattern(20))
        }
    }

    #if DEBUG
    @Test func `a debug build overwrites a view when the next bytes are received, and when it was sent`() throws {
        try onHub {
            let (one, onePeer) = try connectedPair()
            let (other, otherPeer) = try connectedPair()
            onePeer.write(pattern(10))
            otherPeer.write([7])
            let stale = try #require(try one.receiveView())
            #expect(try other.receive() == [7])
            #expect(Array(stale.dropFirst()) == [UInt8](repeating: 0xdd, count: 9))
            onePeer.write(pattern(10))
            let sent = try #require(try one.receiveView())
            try one.sendAll(sent)
            #expect(Array(sent) == [UInt8](repeating: 0xdd, count: 10))
            #expect(try onePeer.read(exactly: 10) == pattern(10))
        }
    }
    #endif

    @Test func `receive of an exact count leaves what comes after it`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            #expect(try connection.receive(exactly: 4) == Array(pattern(10)[..<4]))
            #expect(try connection.receive(exactly: 0) == [])
            #expect(try connection.receive(exactly: 6) == Array(pattern(10)[4...]))
        }
    }

    @Test func `the shared buffer is as large as the hub says`() throws {
        try onHub {
            Hub.current.receiveBufferSize = 1000
            let (connection, peer) = try connectedPair()
            peer.write(pattern(1500))
            #expect(try connection.receive() == Array(pattern(1500)[..<1000]))
            #expect(try connection.receive() == Array(pattern(1500)[1000...]))
        }
    }

    @Test func `the shared buffer can't change its size once it is in use`() async {
        await #expect(processExitsWith: .failure) {
            try onHub {
                let (connection, peer) = try connectedPair()
                peer.write([1])
                _ = try connection.receive()
                Hub.current.receiveBufferSize = 1000
            }
        }
    }

    // MARK: Deadlines

    @Test func `receive throws at its deadline, not before, and the connection stays usable`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            for length in [1, 20, 50] {
                let deadline = Deadline.now + .milliseconds(length)
                let error = failure { () throws(NetError) in try connection.receive(upTo: 1, until: deadline) }
                let late = Deadline.now - deadline
                #expect(error?.waitError == .deadlinePassed)
                #expect(error?.call == .recv)
                #expect(error?.peer == peer.address)
                #expect(late >= .zero)
                #expect(late < slack)
            }
            peer.write(pattern(3))
            #expect(try connection.receive(upTo: 10) == pattern(3))
        }
    }

    @Test func `bytes that are there are received even after the deadline`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(3))
            #expect(try connection.receive(upTo: 10, until: .now) == pattern(3))
            let error = failure { () throws(NetError) in try connection.receive(upTo: 1, until: .now) }
            #expect(error?.waitError == .deadlinePassed)
            peer.close()
        }
    }

    @Test func `if data and the deadline come at once, the data counts`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            for _ in 0..<10 {
                let deadline = Deadline.now + .milliseconds(5)
                let receiver = spawn { try connection.receive(upTo: 10, until: deadline) }
                try Greenlet.yield()
                peer.write(pattern(3))
                block(until: deadline + .milliseconds(1))
                #expect(try receiver.value() == pattern(3))
            }
        }
    }

    @Test func `a time limit around receive comes out as TimedOut`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(10)) { try connection.receive(upTo: 1) }
            }
            peer.write([1])
            #expect(try withTimeout(.seconds(5)) { try connection.receive(upTo: 10) } == [1])
        }
    }

    @Test func `a time limit ends a receiver that never has to wait`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.finish()
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(10)) { while true { _ = try connection.receive() } }
            }
        }
    }

    // MARK: Kill

    @Test func `a killed receiver throws cancelled, again and again`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            var errors: [NetError?] = []
            let receiver = spawn {
                for _ in 0..<3 { errors.append(failure { () throws(NetError) in try connection.receive(upTo: 1) }) }
            }
            try receiver.waitUntilParked()
            receiver.kill()
            try receiver.join()
            #expect(errors.map { $0?.waitError } == [.cancelled, .cancelled, .cancelled])
            peer.write([1])
            #expect(try connection.receive(upTo: 10) == [1])
        }
    }

    @Test func `a killed receiver throws even if bytes are there`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(1000))
            let receiver = spawn {
                Greenlet.current.kill()
                return try connection.receive(upTo: 1000)
            }
            try receiver.join()
            #expect(receiver.state == .killed)
            #expect(try connection.receive(upTo: 2000) == pattern(1000))
        }
    }

    // MARK: The peer is gone

    @Test func `a reset by the peer is an error that says so, and after it the stream has ended`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let receiver = spawn { failure { () throws(NetError) in try connection.receive(upTo: 1) } }
            try receiver.waitUntilParked()
            let address = peer.address
            peer.reset()
            let error = try #require(try receiver.value())
            #expect(error == NetError(.recv, result: -Int(ECONNRESET), address))
            #expect(error.isPeerGone)
            #expect(try connection.receive(upTo: 1) == nil)
        }
    }
}

struct ConnectionSendingTests {
    @Test func `sendAll of several MiB to a slow reader is exact, and others are answered meanwhile`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let (other, otherPeer) = try connectedPair()
            let echo = spawn { while let bytes = try other.receiveView() { try other.sendAll(bytes) } }
            // Far more than both systems hold.
            let bytes = pattern(16 << 20)
            let sender = spawn { try connection.sendAll(bytes) }
            try sender.waitUntilParked()
            var (received, answered): ([UInt8], Int) = ([], 0)
            while received.count < bytes.count {
                received += try peer.read(exactly: min(128 << 10, bytes.count - received.count))
                otherPeer.write(pattern(100, seed: answered))
                #expect(try otherPeer.read(exactly: 100) == pattern(100, seed: answered))
                if sender.state == .waiting { answered += 1 }
            }
            try sender.value()
            expectSame(received, bytes)
            #expect(answered > 5)
            otherPeer.close()
            try echo.value()
        }
    }

    @Test func `what is sent from the shared buffer is not disturbed by others who receive meanwhile`() throws {
        try onHub {
            let (slow, slowPeer) = try narrowPair()
            let (busy, busyPeer) = try connectedPair()
            let bytes = pattern(30_000, seed: 1)
            slowPeer.write(bytes)
            try waitUntil { recvCount(slow.descriptor) == bytes.count }
            let filler = slow.fill()
            let echo = spawn {
                let view = try #require(try slow.receiveView())
                #expect(view.count == bytes.count)
                try slow.sendAll(view)
            }
            try waitUntil { Hub.current.description.contains("descriptor \(slow.descriptor) to be writable") }
            for seed in 2..<5 {
                busyPeer.write(pattern(30_000, seed: seed))
                #expect(try busy.receive(exactlyFromView: 30_000) == pattern(30_000, seed: seed))
            }
            expectSame(try Array(slowPeer.read(exactly: filler + bytes.count)[filler...]), bytes)
            try echo.value()
        }
    }

    /// The number of bytes that wait to be received.
    private func recvCount(_ descriptor: Int32) -> Int {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        return recvfrom(descriptor, &buffer, buffer.count, Int32(MSG_PEEK | MSG_DONTWAIT), nil, nil)
    }

    /// The buffer is small: each green thread fills it by many reads, and gives way over and over.
    @Test func `two green threads that answer from the shared buffer without waiting do not disturb each other`() throws
    {
        try onHub {
            Hub.current.receiveBufferSize = 64
            let pairs = [try connectedPair(), try connectedPair()]
            for (number, pair) in pairs.enumerated() { pair.1.write(pattern(20_000, seed: number)) }
            let echoes = pairs.map { connection, _ in
                spawn { while let bytes = try connection.receiveView() { try connection.sendAll(bytes) } }
            }
            for (number, pair) in pairs.enumerated() {
                expectSame(try pair.1.read(exactly: 20_000), pattern(20_000, seed: number))
                pair.1.close()
            }
            for echo in echoes { try echo.value() }
        }
    }

    @Test func `bytes in the caller's own memory are sent from there`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            peer.write([1])
            _ = try connection.receive()  // so that there is a shared buffer
            let bytes = pattern(200_000)
            let sender = spawn { try connection.sendAll(bytes) }
            try sender.waitUntilParked()
            expectSame(try peer.read(exactly: bytes.count), bytes)
            try sender.value()
        }
    }

    @Test func `both directions of one socket carry several MiB at once`() throws {
        try onHub {
            let (client, server) = try connectedConnections()
            let count = Sanitizer.scaled(4 << 20, address: 2 << 20, thread: 1 << 20)
            let (up, down) = (pattern(count, seed: 1), pattern(count, seed: 2))
            let receivers = [
                spawn { expectSame(try server.receive(exactly: count), up) },
                spawn { expectSame(try client.receive(exactly: count), down) },
            ]
            let senders = [spawn { try client.sendAll(up) }, spawn { try server.sendAll(down) }]
            for greenlet in receivers + senders { try greenlet.value() }
        }
    }

    @Test func `send returns how many bytes the kernel took, and waits for the first of them only`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let bytes = pattern(1 << 20)
            let count = try bytes.withUnsafeBytes { try connection.send($0) }
            #expect(count > 0 && count < bytes.count)
            let filler = connection.fill()
            let sender = spawn { try bytes.withUnsafeBytes { try connection.send($0) } }
            try sender.waitUntilParked()
            #expect(Array(try peer.read(exactly: count + filler)[..<count]) == Array(bytes[..<count]))
            let next = try sender.value()
            #expect(next > 0 && next < bytes.count)
            #expect(try peer.read(exactly: next) == Array(bytes[..<next]))
        }
    }

    @Test func `sending nothing does nothing`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            _ = connection.fill()
            try connection.sendAll([], until: .now)
            #expect(try connection.send(UnsafeRawBufferPointer(start: nil, count: 0), until: .now) == 0)
            peer.close()
        }
    }

    // MARK: Deadlines and kill

    @Test func `sendAll to a peer that never reads throws at its deadline, not before`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let deadline = Deadline.now + .milliseconds(50)
            let error = failure { () throws(NetError) in try connection.sendAll(pattern(1 << 20), until: deadline) }
            let late = Deadline.now - deadline
            #expect(error == NetError(.send, .wait(.deadlinePassed), peer.address))
            #expect(late >= .zero)
            #expect(late < slack)
        }
    }

    @Test func `a peer that reads slowly does not postpone the deadline of sendAll`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let drip = spawn {
                while true {
                    _ = peer.read(upTo: 1000)
                    try Greenlet.sleep(for: .milliseconds(1))
                }
            }
            let deadline = Deadline.now + .milliseconds(60)
            let error = failure { () throws(NetError) in try connection.sendAll(pattern(8 << 20), until: deadline) }
            #expect(error?.waitError == .deadlinePassed)
            #expect(Deadline.now - deadline < slack)
            drip.kill()
        }
    }

    @Test func `a limit to stalls leaves a peer that reads slowly its time`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let bytes = pattern(200_000)
            let stall = Duration.milliseconds(100) * Sanitizer.slowness
            let begin = Deadline.now
            let sender = spawn { try bytes.withUnsafeBytes { try connection.sendAll($0, stall: stall) } }
            var received: [UInt8] = []
            while received.count < bytes.count {
                received += try peer.read(exactly: min(20_000, bytes.count - received.count))
                try Greenlet.sleep(for: stall / 5)
            }
            try sender.value()
            expectSame(received, bytes)
            #expect(Deadline.now - begin > stall)
        }
    }

    @Test func `a limit to stalls ends the wait for a peer that has stopped reading`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let bytes = pattern(1 << 20)
            let sender = spawn {
                failure { () throws(NetError) in
                    try bytes.withUnsafeBufferPointer { (bytes) throws(NetError) in
                        try connection.sendAll(UnsafeRawBufferPointer(bytes), stall: .milliseconds(50))
                    }
                }
            }
            _ = try peer.read(exactly: 50_000)
            let begin = Deadline.now
            #expect(try sender.value()?.waitError == .deadlinePassed)
            #expect(Deadline.now - begin < .milliseconds(50) + slack)
            peer.close()
        }
    }

    @Test func `a time limit around sendAll comes out as TimedOut`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(10)) { try connection.sendAll(pattern(1 << 20)) }
            }
            peer.close()
        }
    }

    @Test func `a killed sender throws cancelled`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            var error: NetError?
            let sender = spawn {
                error = failure { () throws(NetError) in try connection.sendAll(pattern(1 << 20)) }
            }
            try sender.waitUntilParked()
            sender.kill()
            try sender.join()
            #expect(error == NetError(.send, .wait(.cancelled), peer.address))
        }
    }

    @Test func `a sender that never has to wait notices that it was killed`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            var sent = 0
            let sender = spawn {
                for _ in 0..<1000 {
                    try connection.sendAll([1])
                    sent += 1
                }
            }
            spawn { sender.kill() }
            try sender.join()
            #expect(sender.state == .killed)
            #expect(sent < 1000)
            peer.close()
        }
    }

    // MARK: The peer is gone

    @Test func `sending to a peer that is gone is an error and no signal`() throws {
        let caught = signal(SIGPIPE) { _ in LibraryCall.brokenPipes.add(1, ordering: .relaxed) }
        defer { signal(SIGPIPE, caught) }
        let before = LibraryCall.brokenPipes.load(ordering: .relaxed)
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.reset()
            var errors: [NetError] = []
            try waitUntil {
                if let error = failure(of: { () throws(NetError) in try connection.sendAll([1]) }) {
                    errors.append(error)
                }
                return errors.count == 3
            }
            #expect(errors.allSatisfy { $0.errno?.code == EPIPE || $0.errno?.code == ECONNRESET })
            #expect(errors.allSatisfy { $0.isPeerGone && $0.call == .send })
        }
        #expect(LibraryCall.brokenPipes.load(ordering: .relaxed) == before)
    }

    @Test func `a waiting sender gets the error that the peer is gone`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let sender = spawn { failure { () throws(NetError) in try connection.sendAll(pattern(1 << 20)) } }
            try sender.waitUntilParked()
            peer.reset()
            #expect(try sender.value()?.isPeerGone == true)
        }
    }
}

struct ConnectionEndingTests {
    // MARK: Close

    @Test func `close wakes the receiver and the sender, with closed`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let receiver = spawn { failure { () throws(NetError) in try connection.receive(upTo: 1) } }
            let sender = spawn { failure { () throws(NetError) in try connection.sendAll(pattern(1 << 20)) } }
            try receiver.waitUntilParked()
            try sender.waitUntilParked()
            spawn { connection.close() }
            #expect(try receiver.value() == NetError(.recv, .wait(.closed), peer.address))
            #expect(try sender.value() == NetError(.send, .wait(.closed), peer.address))
        }
    }

    @Test func `a green thread that was woken before the close finds the connection closed`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let receiver = spawn { failure { () throws(NetError) in try connection.receive(upTo: 1) } }
            try receiver.waitUntilParked()
            peer.write([1])
            connection.socket.wakeReader()
            connection.close()
            #expect(try receiver.value()?.waitError == .closed)
        }
    }

    @Test func `the peer sees the end when the connection is closed`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try connection.sendAll(pattern(10))
            connection.close()
            #expect(try peer.readToEnd() == pattern(10))
        }
    }

    @Test func `the last reference closes the descriptor`() throws {
        try onHub {
            let before = openDescriptors()
            var (connection, peer): (Connection?, Peer) = try connectedPair()
            #expect(openDescriptors() == before + 2)
            #expect(connection != nil)
            connection = nil
            #expect(openDescriptors() == before + 1)
            #expect(try peer.ending() == .end)
        }
    }

    @Test func `after the close every call throws closed and leaves the number's next owner alone`() throws {
        try onHub {
            var (connection, _): (Connection?, Peer) = try connectedPair()
            let number = connection!.descriptor
            connection!.close()
            let (reader, writer) = try aPair(at: number)
            writer.write(pattern(10))

            #expect(failure { () throws(NetError) in try connection!.receive() }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection!.receive(upTo: 4) }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection!.receive(exactly: 4) }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection!.receiveView() }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection!.sendAll([1]) }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection!.sendAll([]) }?.waitError == .closed)
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            #expect(failure { () throws(NetError) in try connection!.send(nothing) }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection!.shutdownSending() }?.waitError == .closed)
            connection!.finishReceiving()
            #expect(failure { () throws(NetError) in try connection!.receive() }?.waitError == .closed)
            connection!.close()
            connection = nil

            #expect(reader.read() == .bytes(pattern(10)))
            #expect(writer.read() == .nothing)
        }
    }

    /// Two connected sockets, of which the first has the descriptor `number`.
    private func aPair(at number: Int32) throws -> (Peer, Peer) {
        var sockets: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &sockets) == 0)
        if sockets[0] != number {
            if sockets[1] == number { sockets[1] = dup(number) }
            try #require(dup2(sockets[0], number) == number)
            Glibc.close(sockets[0])
        }
        return (Peer(number), Peer(sockets[1]))
    }

    // MARK: Kinds of bytes

    @Test func `sendAll takes texts, collections of bytes and spans`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try connection.sendAll("häß \(1)")
            try connection.sendAll("abc".dropFirst())
            try connection.sendAll("d".utf8)
            try connection.sendAll(pattern(10)[2...])
            try connection.sendAll(repeatElement(7, count: 2))
            try connection.sendAll([8, 9])
            try connection.sendAll(pattern(3).span.bytes)
            try connection.shutdownSending()
            let wanted = Array("häß 1bcd".utf8) + pattern(10)[2...] + [7, 7, 8, 9] + pattern(3)
            #expect(try peer.readToEnd() == wanted)
        }
    }

    // MARK: Half-close

    @Test func `after shutdownSending the peer has everything and then the end, and receiving goes on`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try connection.sendAll(pattern(10))
            try connection.shutdownSending()
            #expect(try peer.readToEnd() == pattern(10))
            #expect(failure { () throws(NetError) in try connection.sendAll([1]) }?.errno == SystemError(EPIPE))
            peer.write(pattern(20))
            #expect(try connection.receive(exactly: 20) == pattern(20))
            peer.finish()
            #expect(try connection.receive() == nil)
        }
    }

    @Test func `all of what was sent before a half-close comes back, then the end`() throws {
        try onHub {
            let (client, served) = try connectedConnections()
            let echo = spawn {
                while let bytes = try served.receiveView() { try served.sendAll(bytes) }
                served.close()
            }
            let bytes = pattern(Sanitizer.scaled(6 << 20, address: 2 << 20, thread: 1 << 20))
            let sender = spawn {
                try client.sendAll(bytes)
                try client.shutdownSending()
            }
            expectSame(try client.receiveAll(), bytes)
            #expect(try client.receive() == nil)
            try sender.value()
            try echo.value()
        }
    }

    // MARK: finishReceiving

    @Test func `finishReceiving gives what has come already, and then the end`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let bytes = pattern(100_000)
            #expect(peer.write(bytes) == bytes.count)
            #expect(try connection.receive(exactly: 10) == Array(bytes[..<10]))
            connection.finishReceiving()
            expectSame(try connection.receiveAll(), Array(bytes[10...]))
            #expect(try connection.receive() == nil)
            peer.write([1])
            #expect(try connection.receive() == nil)
        }
    }

    /// The kernel stops reading at the urgent byte, though more is there.
    @Test func `finishReceiving gives what has come behind urgent data too`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            peer.write(pattern(10))
            #expect(send(peer.descriptor, pattern(10), 10, Int32(MSG_OOB)) == 10)
            peer.write(pattern(10))
            #expect(try connection.receive(exactly: 5) == Array(pattern(10)[..<5]))
            connection.finishReceiving()
            #expect(try connection.receiveAll() == Array(pattern(10)[5...]) + pattern(10) + pattern(10))
            peer.write([1])
            #expect(try connection.receive() == nil)
        }
    }

    /// The kernel stops reading behind the descriptor, though more is there.
    @Test func `finishReceiving gives what has come behind a passed descriptor too`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let listener = try Listener(on: .unix(path: "\(directory)/socket"))
                let client = try Connection.connect(to: listener.address)
                let connection = try listener.accept()
                try client.sendAll(pattern(10))
                try pass(pattern(10), withDescriptor: STDIN_FILENO, on: client.descriptor)
                try client.sendAll(pattern(10))
                #expect(try connection.receive(exactly: 5) == Array(pattern(10)[..<5]))
                connection.finishReceiving()
                #expect(try connection.receiveAll() == Array(pattern(10)[5...]) + pattern(10) + pattern(10))
                #expect(try connection.receive() == nil)
            }
        }
    }

    private func pass(_ bytes: [UInt8], withDescriptor passed: Int32, on descriptor: Int32) throws {
        // A cmsghdr of 16 bytes, and the descriptor.
        var control: [UInt64] = [20, UInt64(UInt32(SOL_SOCKET)) | 1 << 32, UInt64(UInt32(passed))]
        var bytes = bytes
        let sent = bytes.withUnsafeMutableBytes { bytes in
            control.withUnsafeMutableBytes { control in
                var piece = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                return withUnsafeMutablePointer(to: &piece) { piece in
                    var message = msghdr()
                    (message.msg_iov, message.msg_iovlen) = (piece, 1)
                    (message.msg_control, message.msg_controllen) = (control.baseAddress, 24)
                    return sendmsg(descriptor, &message, 0)
                }
            }
        }
        try #require(sent == bytes.count)
    }

    @Test func `finishReceiving ends the receiver's wait`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let receiver = spawn { try connection.receive() == nil }
            try receiver.waitUntilParked()
            connection.finishReceiving()
            #expect(try receiver.value())
            try connection.sendAll(pattern(3))
            #expect(try peer.read(exactly: 3) == pattern(3))
        }
    }
}

struct FairnessTests {
    @Test func `a connection that never has to wait gives way to others`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let bytes = pattern(64 << 10)
            #expect(peer.write(bytes) == bytes.count)
            try waitUntil { try connection.receive(upTo: 1)?.count == 1 }
            var turns = 0
            let other = spawn {
                while true {
                    turns += 1
                    try Greenlet.yield()
                }
            }
            for _ in 0..<256 { _ = try connection.receive(upTo: 128) }
            #expect(turns >= 256 / Int(Scheduler.opsPerTurn) - 1)
            #expect(turns < 256)
            other.kill()
        }
    }

    @Test func `a green thread that only sends gives way to others`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            var turns = 0
            let other = spawn {
                while true {
                    turns += 1
                    try Greenlet.yield()
                }
            }
            for _ in 0..<256 { try connection.sendAll([1]) }
            #expect(turns >= 256 / Int(Scheduler.opsPerTurn) - 1)
            #expect(turns < 256)
            other.kill()
            peer.close()
        }
    }

    @Test func `a flood starves neither a timer nor another connection nor a listener`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let (flooded, source) = try connectedPair()
            let (quiet, quietPeer) = try connectedPair()
            let flood = TestThread { pour(into: source.descriptor) }
            let swallow = spawn { while true { _ = try flooded.receive(upTo: 4096) } }
            let timer = spawn { for _ in 0..<5 { try Greenlet.sleep(for: .milliseconds(2)) } }
            let echo = spawn { try quiet.sendAll(try quiet.receive(exactly: 3)) }
            let acceptor = spawn { try listener.accept() }
            quietPeer.write(pattern(3))
            let client = try Peer(connectedTo: listener.address)
            try timer.value(until: .after(slack))
            try echo.value(until: .after(slack))
            _ = try acceptor.value(until: .after(slack))
            #expect(try quietPeer.read(exactly: 3) == pattern(3))
            #expect(swallow.state != .failed)
            flooded.close()
            _ = try? swallow.value()
            try flood.value()
            client.close()
            source.close()
        }
    }
}

/// Writes as fast as the other side reads, until that has gone.
private func pour(into descriptor: Int32) {
    let bytes = [UInt8](repeating: 7, count: 64 << 10)
    var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    repeat {
        poll(&room, 1, 1000)
    } while sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), nil, 0) >= 0 || errno == EAGAIN
}

extension Connection {
    /// `count` bytes, through the buffer that all connections share.
    fileprivate func receive(exactlyFromView count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let view = try receiveView() { bytes += view }
        return bytes
    }
}

private func withTemporaryBuffer<Value>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Value
) rethrows -> Value {
    try withUnsafeTemporaryAllocation(byteCount: count, alignment: 16, body)
}
