import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct GatheredSendingTests {
    @Test(arguments: [0, 1, 2, 1023, 1024, 1025, 5000])
    func `any number of pieces arrives in order`(count: Int) throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let pieces = (0..<count).map { pattern($0 % 5, seed: $0) }
            let sender = spawn {
                try connection.sendAll(gathering: pieces)
                connection.close()
            }
            expectSame(try peer.readToEnd(), Array(pieces.joined()))
            try sender.value()
        }
    }

    @Test func `pieces that the kernel takes in parts arrive whole`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let pieces = (0..<50).map { pattern($0 * 1000, seed: $0) }
            let sender = spawn {
                try connection.sendAll(gathering: pieces)
                connection.close()
            }
            try sender.waitUntilParked()
            expectSame(try peer.readToEnd(), Array(pieces.joined()))
            try sender.value()
        }
    }

    @Test func `an early end says how many bytes were sent, over all pieces`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let pieces = (0..<50).map { pattern(100_000, seed: $0) }
            let error = failure { () throws(NetError) in
                try connection.sendAll(gathering: pieces, until: .after(.milliseconds(50)))
            }
            connection.close()
            let arrived = try peer.readToEnd()
            #expect(error?.isTimeout == true)
            #expect(error?.sent == arrived.count)
            expectSame(arrived, Array(pieces.joined().prefix(arrived.count)))
        }
    }

    @Test func `a view of received bytes may be among the pieces`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let (other, otherPeer) = try connectedPair()
            defer { other.close() }
            try peer.writeAll(Array("view".utf8))
            let sender = spawn {
                let view = try connection.receiveView()!
                let head = pattern(5_000_000)
                try head.withUnsafeBytes { try connection.sendAll(gathering: [$0, UnsafeRawBufferPointer(view)]) }
                connection.close()
            }
            try sender.waitUntilParked()
            // Received into the same buffer meanwhile.
            try otherPeer.writeAll(Array("other".utf8))
            try #expect(other.receive() == Array("other".utf8))
            expectSame(try peer.readToEnd(), pattern(5_000_000) + Array("view".utf8))
            try sender.value()
        }
    }

    @Test func `a stream without gathering gets short pieces joined, and long ones alone`() throws {
        try onVirtualHub {
            let stream = PieceStream()
            try stream.sendAll(gathering: [[1], [], [2, 3]])
            #expect(stream.sent == [[1, 2, 3]])
            let long = pattern(65_537)
            try stream.sendAll(gathering: [[1], long, [2], pattern(65_536)])
            #expect(stream.sent.dropFirst() == [[1], long, [2], pattern(65_536)])
            try stream.sendAll(gathering: [[UInt8]]())
            #expect(stream.sent.count == 5)
        }
    }

    // MARK: How far a step came

    @Test func `a send that ends early says how many bytes were sent`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            let bytes = pattern(5_000_000)
            let error = failure { () throws(NetError) in
                try connection.sendAll(bytes, until: .after(.milliseconds(20)))
            }
            connection.close()
            let arrived = try peer.readToEnd()
            #expect(error?.sent == arrived.count)
            expectSame(arrived, Array(bytes.prefix(arrived.count)))
            let closed = failure { () throws(NetError) in try connection.sendAll([1]) }
            #expect(closed?.isClosed == true && closed?.sent == 0)
        }
    }

    @Test func `a green thread that is killed as it gives way behind a send has sent all`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            defer { connection.close() }
            var (sent, error) = (0, NetError?.none)
            let sender = spawn {
                do throws(NetError) {
                    while true {
                        try connection.sendAll([1, 2, 3])
                        sent += 3
                    }
                } catch let failure {
                    error = failure
                    sent += failure.sent
                    throw failure
                }
            }
            try Greenlet.yield()
            sender.kill()
            try sender.join()
            #expect(error?.isCancellation == true)
            try #expect(peer.read(exactly: sent).count == sent)
            #expect(peer.read() == .nothing)
        }
    }

    @Test func `what a receive had received when it ended early is in its error`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            defer { connection.close() }
            try peer.writeAll([1, 2, 3])
            let late = failure { () throws(NetError) in
                try connection.receive(exactly: 5, until: .after(.milliseconds(20)))
            }
            #expect(late?.isTimeout == true && late?.received == [1, 2, 3])
            try peer.writeAll([4])
            let reader = spawn { try connection.receiveAll() }
            try reader.waitUntilParked()
            reader.kill()
            try reader.join()
            try peer.writeAll([5])
            peer.finish()
            let short = failure { () throws(NetError) in try connection.receive(exactly: 2) }
            #expect(short?.ending == .endOfStream(received: 1, wanted: 2) && short?.received == [5])
        }
    }
}
