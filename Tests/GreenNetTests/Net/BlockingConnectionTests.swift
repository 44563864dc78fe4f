import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Connections without a hub, whose waits block the OS thread.
struct BlockingConnectionTests {
    @Test func `a blocking connection receives and sends without a hub`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            peer.write(pattern(10))
            #expect(try connection.receive() == pattern(10))
            peer.write(pattern(2000))
            #expect(try connection.receive() == Array(pattern(2000)[..<1000]))
            #expect(try connection.receive() == Array(pattern(2000)[1000...]))
            try connection.sendAll(pattern(20))
            #expect(peer.read() == .bytes(pattern(20)))
            peer.finish()
            #expect(try connection.receive() == nil)
            #expect(try connection.receive() == nil)
            #expect(Context.running == nil)
        }
    }

    @Test func `a body is lent the connection's buffer, and what is received inside lies elsewhere`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            for _ in 0..<2 {
                peer.write(pattern(10, seed: 1))
                try connection.withReceivedBytes { outer in
                    peer.write(pattern(10, seed: 2))
                    try #expect(connection.receive() == pattern(10, seed: 2))
                    #expect(outer.bytes.withUnsafeBytes { Array($0) } == pattern(10, seed: 1))
                }
            }
            peer.close()
        }
    }

    @Test func `receive blocks until the peer writes`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            let before = LibraryCall.receive.count
            let writer = TestThread {
                #expect(eventually { LibraryCall.receive.count > before })
                peer.write(pattern(10))
            }
            #expect(try connection.receive(upTo: 100) == pattern(10))
            try writer.value()
        }
    }

    @Test func `receive throws at its deadline, not before, and the connection stays usable`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            for length in [1, 50, 20] {
                let deadline = Deadline.now + .milliseconds(length)
                let error = failure { () throws(NetError) in try connection.receive(upTo: 1, until: deadline) }
                let late = Deadline.now - deadline
                #expect(error?.waitError == .deadlinePassed)
                #expect(late >= .zero)
                #expect(late < slack)
            }
            peer.write(pattern(3))
            #expect(try connection.receive(upTo: 10) == pattern(3))
        }
    }

    /// The process may have been stopped between arrival and deadline.
    @Test func `bytes that came are received, and bytes with room are sent, even after the deadline`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            peer.write(pattern(3))
            #expect(try connection.receive(upTo: 10, until: .now) == pattern(3))
            try connection.sendAll(pattern(5), until: .now)
            #expect(peer.read() == .bytes(pattern(5)))
            let error = failure { () throws(NetError) in try connection.receive(upTo: 1, until: .now) }
            #expect(error?.waitError == .deadlinePassed)
        }
    }

    @Test func `the deadline counts after a read that filled its buffer too`() throws {
        try onOSThread(.seconds(5)) {
            let (connection, peer) = try blockingPair()
            peer.write(pattern(4))
            #expect(try connection.receive(upTo: 4) == pattern(4))
            let deadline = Deadline.now + .milliseconds(20)
            let error = failure { () throws(NetError) in try connection.receive(upTo: 4, until: deadline) }
            #expect(error?.waitError == .deadlinePassed)
            #expect(Deadline.now - deadline < slack)
        }
    }

    @Test func `a short deadline counts after a longer one that has passed`() throws {
        try onOSThread(.seconds(5)) {
            let (connection, peer) = try blockingPair()
            for length in [300, 10] {
                let deadline = Deadline.now + .milliseconds(length)
                let error = failure { () throws(NetError) in try connection.receive(upTo: 4, until: deadline) }
                #expect(error?.waitError == .deadlinePassed)
                #expect(Deadline.now - deadline < .milliseconds(200) * Sanitizer.slowness)
            }
            peer.close()
        }
    }

    @Test func `no deadline counts after a call that had one`() throws {
        try onOSThread(.seconds(5)) {
            let (connection, peer) = try blockingPair()
            let error = failure { () throws(NetError) in
                try connection.receive(upTo: 1, until: .after(.milliseconds(5)))
            }
            #expect(error?.waitError == .deadlinePassed)
            let before = LibraryCall.receive.count
            let writer = TestThread {
                #expect(eventually { LibraryCall.receive.count > before })
                #expect(!eventually(within: .milliseconds(30)) { LibraryCall.receive.count > before + 1 })
                peer.write(pattern(10))
            }
            #expect(try connection.receive(upTo: 100) == pattern(10))
            try writer.value()
        }
    }

    @Test func `sendAll to a peer that never reads throws at its deadline, not before`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            let deadline = Deadline.now + .milliseconds(40)
            let error = failure { () throws(NetError) in try connection.sendAll(pattern(4 << 20), until: deadline) }
            let late = Deadline.now - deadline
            #expect(error?.waitError == .deadlinePassed)
            #expect(late >= .zero)
            #expect(late < slack)
            peer.close()
        }
    }

    @Test func `sendAll of several MiB to a slow reader is exact`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            let bytes = pattern(4 << 20)
            let reader = TestThread {
                var received: [UInt8] = []
                let isComplete = eventually(within: .seconds(10)) {
                    if case .bytes(let more) = peer.read(upTo: 256 << 10) { received += more }
                    return received.count >= bytes.count
                }
                #expect(isComplete)
                return received
            }
            try connection.sendAll(bytes, until: .after(.seconds(20)))
            expectSame(try reader.value(), bytes)
        }
    }

    @Test func `sending to a peer that is gone is an error`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            peer.close()
            let error = failure { () throws(NetError) in try connection.sendAll([1]) }
            #expect(error?.isPeerGone == true)
        }
    }

    @Test func `the last reference closes the descriptor, after which every call throws closed`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            connection.close()
            #expect(peer.read() == .end)
            #expect(failure { () throws(NetError) in try connection.receive() }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection.receiveView() }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection.sendAll([1]) }?.waitError == .closed)
            var (forgotten, other): (Connection?, Peer) = try blockingPair()
            #expect(forgotten != nil)
            forgotten = nil
            #expect(other.read() == .end)
        }
    }

    @Test(arguments: [true, false])
    func `answers in place are what was received, changed, until the end of the stream`(onStack: Bool) throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            let bytes = pattern(300_000)
            let client = TestThread {
                var received: [UInt8] = []
                // More than the buffer has room for.
                for start in stride(from: 0, to: bytes.count, by: 50_000) {
                    try peer.writeAll(Array(bytes[start..<start + 50_000]))
                    received += try peer.read(exactly: 50_000)
                }
                peer.finish()
                return received
            }
            var (changed, sent) = (0, 0)
            try connection.answer(onStack: onStack) { bytes in
                #expect(bytes.count <= 1000 && changed == sent)
                for index in bytes.indices { bytes[index] ^= 0xff }
                changed += bytes.count
            } sent: {
                sent += $0
            }
            expectSame(try client.value(), bytes.map { $0 ^ 0xff })
            #expect(changed == bytes.count && sent == bytes.count)
        }
    }

    @Test func `answers in place go on where the kernel has taken only a part, or nothing yet`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            let bytes = pattern(1500)
            try peer.writeAll(bytes)
            var sent: [Int] = []
            peer.finish()
            try LibraryCall.send.limited(to: 300) {
                try connection.answer(onStack: true) { _ in
                } sent: {
                    sent.append($0)
                }
            }
            #expect(sent == [1000, 500])
            try expectSame(peer.read(exactly: bytes.count), bytes)
        }
        try onOSThread {
            let (connection, peer) = try blockingPair()
            try peer.writeAll(pattern(10))
            peer.finish()
            try LibraryCall.send.failing(1, with: EAGAIN) {
                try LibraryCall.receive.failing(1, with: EAGAIN) {
                    try connection.answer(onStack: true) { _ in
                    } sent: {
                        #expect($0 == 10)
                    }
                }
            }
            try expectSame(peer.read(exactly: 10), pattern(10))
        }
    }

    @Test func `answers in place to a client that is gone are an error`() throws {
        try onOSThread {
            let (connection, peer) = try blockingPair()
            peer.write(pattern(10))
            var sent = 0
            let error = failure { () throws(NetError) in
                try connection.answer(onStack: true) { _ in
                    peer.close()
                } sent: {
                    sent += $0
                }
            }
            #expect(error?.isPeerGone == true && error?.call == .send)
            #expect(sent == 0)
        }
    }

    @Test(.enabled(if: Sanitizer.active == .none, "a sanitizer lays out the stack by itself"))
    func `bytes on the stack are the body's own, and begin on the page of its frame`() throws {
        try onOSThread {
            for colour: Int32 in [0, 5, 15, 16, -1] {
                var isSamePage = false
                LinuxCalls.withStackBytes(50_000, colour: colour) { bytes in
                    bytes.initializeMemory(as: UInt8.self, repeating: 0xaa)
                    var local: UInt8 = 0x55
                    withUnsafeMutablePointer(to: &local) { local in
                        isSamePage = UInt(bitPattern: local) >> 12 == UInt(bitPattern: bytes.baseAddress!) >> 12
                    }
                    #expect(bytes.count == 50_000 && bytes.allSatisfy { $0 == 0xaa } && local == 0x55)
                }
                #expect(isSamePage, "\(colour)")
            }
        }
    }

    /// A connection with a receive buffer of 1000 bytes, and its other side.
    private func blockingPair() throws -> (Connection, Peer) {
        var sockets: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        try #require(socketpair(AF_UNIX, kind, 0, &sockets) == 0)
        let connection = Connection(blocking: sockets[0], peer: .unix(path: ""), receiveBufferSize: 1000)
        return (connection, Peer(sockets[1]))
    }
}

extension Connection {
    /// As the server does on an OS thread.
    fileprivate func answer(
        onStack: Bool, change: (UnsafeMutableRawBufferPointer) -> Void, sent: (Int) -> Void
    ) throws(NetError) {
        try withReceiveBuffer(onStack: onStack) { buffer throws(NetError) in
            try answerInPlace(in: buffer, change: change, sent: sent)
        }
    }
}
