import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Connections from descriptors, descriptors from connections, and descriptors that travel.
struct OwnDescriptorTests {
    // MARK: Pairs and adoption

    @Test func `what one end of a pair sends, the other receives, and a half-close is the end`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let bytes = pattern(1_000_000)
            let receiver = spawn { try other.receiveAll() }
            try one.sendAll(bytes)
            try one.shutdownSending()
            expectSame(try receiver.value(), bytes)
            try other.sendAll("back")
            #expect(try one.receive() == Array("back".utf8))
        }
    }

    @Test func `without descriptors left there is no pair`() throws {
        try onHub {
            let error = try withRoom(forDescriptors: 1) { failure { () throws(NetError) in try Connection.pair() } }
            #expect(error?.description == "cannot make a pair of sockets: too many open files (EMFILE)")
        }
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func `an adopted socket is the connection's own: non-blocking, closed on exec, its peer known`(ip: String) throws {
        try onHub {
            let listener = try Listener(on: SocketAddress(ip: ip, port: 0)!)
            let descriptor = socket(listener.address.family, Int32(SOCK_STREAM.rawValue), 0)
            var storage = listener.address.storage!
            _ = SystemCalls.connect(descriptor, to: &storage)
            let connection = try Connection(adopting: descriptor)
            #expect(connection.peer == listener.address)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(descriptor, F_GETFD) == FD_CLOEXEC)
            let served = try listener.accept()
            try connection.sendAll("hello")
            #expect(try served.receive() == Array("hello".utf8))
            connection.close()
            #expect(try served.receive() == nil)
        }
    }

    @Test func `what is no connected stream socket is refused in words, and stays the caller's as it was`() throws {
        try onHub {
            let ends = try SystemCalls.pipe()
            let datagram = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            let unconnected = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            let listener = try Listener(on: loopback)
            defer { for number in [ends.reading, ends.writing, datagram, unconnected] { close(number) } }
            for (number, words) in [
                (ends.reading, "is not a socket"), (datagram, "is not a stream socket"),
                (unconnected, "is not connected"), (-1, "is not open"), (987_654, "is not open"),
                (listener.socket.descriptor, "is a listening socket, not a connected one"),
            ] {
                let flags = fcntl(number, F_GETFL)
                let error = #expect(throws: DescriptorError.self) { _ = try Connection(adopting: number) }
                #expect(error?.description == "descriptor \(number) \(words)")
                #expect(fcntl(number, F_GETFL) == flags)
            }
        }
    }

    // MARK: Lending

    @Test func `a lent descriptor is the connection's, and a close meanwhile keeps the number until the loan is over`()
        throws
    {
        try onHub {
            let (one, other) = try Connection.pair()
            let number = try one.withDescriptor { number in
                #expect(write(number, "x", 1) == 1)
                return number
            }
            #expect(try other.receive() == [UInt8(ascii: "x")])
            #expect(number == one.descriptor)
            try one.withDescriptor { number in
                try one.withDescriptor { _ in one.close() }
                // The other side sees the end though the number is still held.
                #expect(try other.receive(until: .after(.seconds(5))) == nil)
                #expect(fcntl(number, F_GETFD) >= 0)
            }
            #expect(fcntl(number, F_GETFD) < 0)
            let error = #expect(throws: NetError.self) { try one.withDescriptor { _ in } }
            #expect(error?.waitError == .closed)
        }
    }

    @Test func `a body may wait for the lent descriptor, and what it throws is thrown`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let waiter = spawn { try one.withDescriptor { number in try waitUntilReadable(number) } }
            try waiter.waitUntilParked()
            try other.sendAll("x")
            try waiter.value()
            #expect(throws: OwnFailure.self) { try one.withDescriptor { _ in throw OwnFailure() } }
            #expect(try one.receive() == [UInt8(ascii: "x")])
        }
    }

    // MARK: Credentials

    @Test func `the other side of a unix socket is told by its process, user and group`() throws {
        try onHub {
            let listener = try Listener(on: .abstract("greennet-\(getpid())-credentials"))
            let client = try Connection.connect(to: listener.address)
            for connection in [client, try listener.accept()] {
                let peer = try connection.peerCredentials
                #expect(peer == PeerCredentials(pid: getpid(), uid: geteuid(), gid: getegid()))
            }
            client.close()
            #expect(failure { () throws(NetError) in try client.peerCredentials }?.waitError == .closed)
            let (overTCP, _) = try connectedConnections()
            let error = failure { () throws(NetError) in try overTCP.peerCredentials }
            #expect(error?.errno == SystemError(EOPNOTSUPP))
        }
    }

    // MARK: Abstract names

    @Test(arguments: [1, 106])
    func `an abstract name is listened on without a file, and written with an @`(length: Int) throws {
        try onHub {
            let name = String("\(getpid())-greennet-".prefix(length))
            let address = SocketAddress.abstract(name + String(repeating: "n", count: length - name.utf8.count))
            #expect(try SocketAddress(parsing: "\(address)") == address)
            #expect("\(address)".hasPrefix("@"))
            let listener = try Listener(on: address)
            #expect(listener.address == address)
            let client = try Connection.connect(to: address)
            #expect(client.peer == address)
            listener.close()
            _ = try Listener(on: address)
        }
    }

    @Test func `an abstract name that is too long is refused`() throws {
        try onHub {
            let address = SocketAddress.abstract(String(repeating: "n", count: 107))
            #expect(failure { () throws(NetError) in try Listener(on: address) }?.errno == SystemError(ENAMETOOLONG))
            #expect(throws: AddressError.self) { try SocketAddress(parsing: "\(address)") }
        }
    }
}

private struct OwnFailure: Error {}
