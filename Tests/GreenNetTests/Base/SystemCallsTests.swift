import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SystemCallsTests {
    @Test func `a call that a signal interrupted is made again`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let peer = try Peer(connectedTo: listener.address)
            let connection = try LibraryCall.accept.failing(3, with: EINTR) { try listener.accept(until: .now) }
            peer.write(pattern(4))
            let received = try LibraryCall.receive.failing(3, with: EINTR) { try connection.receive(upTo: 4) }
            #expect(received == pattern(4))
            try LibraryCall.send.failing(3, with: EINTR) { try connection.sendAll(pattern(4)) }
            #expect(try peer.read(exactly: 4) == pattern(4))
        }
    }

    @Test func `a failed call returns its own error`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let wanted = SystemError(ENOTCONN)
            LibraryCall.receive.failing(1, with: ENOTCONN) {
                #expect(failure { () throws(NetError) in try connection.receive(upTo: 4) }?.errno == wanted)
            }
            LibraryCall.send.failing(1, with: ENOTCONN) {
                #expect(failure { () throws(NetError) in try connection.sendAll([1]) }?.errno == wanted)
            }
            peer.close()
        }
    }

    @Test func `no byte changes even if each call moves only a few`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            let bytes = pattern(1000)
            peer.write(bytes)
            let received = try LibraryCall.receive.limited(to: 7) { try connection.receive(exactly: 1000) }
            expectSame(received, bytes)
            try LibraryCall.send.limited(to: 7) { try connection.sendAll(bytes) }
            expectSame(try peer.read(exactly: 1000), bytes)
        }
    }

    @Test func `a rain of signals changes no byte`() throws {
        try onHub {
            let caught = signal(SIGUSR1) { _ in }
            defer { signal(SIGUSR1, caught) }
            let (one, other) = try connectedConnections()
            let bytes = pattern(Sanitizer.scaled(4 << 20, address: 1 << 20, thread: 1 << 20))
            let hub = UInt(pthread_self())
            let clouds = Handoff<Void>()
            let rain = TestThread {
                while clouds.take(within: .microseconds(100)) == nil { pthread_kill(pthread_t(hub), SIGUSR1) }
            }
            let receiver = spawn { try other.receive(exactly: bytes.count) }
            try one.sendAll(bytes)
            expectSame(try receiver.value(), bytes)
            clouds.give()
            try rain.value()
        }
    }
}
