import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct InheritedSocketTests {
    /// Gives `body` a descriptor as the program that starts this one would leave it open.
    private func withSocket(
        _ family: Int32 = AF_INET, _ kind: __socket_type = SOCK_STREAM, _ body: (Int32) throws -> Void
    ) throws {
        let descriptor = socket(family, Int32(kind.rawValue), 0)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try body(descriptor)
    }

    private func listenerFlaw(_ descriptor: Int32) -> InheritedSocket.Problem? {
        do throws(InheritedSocket.Problem) { _ = try InheritedSocket.listener(descriptor) } catch { return error }
        return nil
    }

    private func connectionFlaw(_ descriptor: Int32) -> InheritedSocket.Problem? {
        do throws(InheritedSocket.Problem) { _ = try InheritedSocket.connection(descriptor) } catch { return error }
        return nil
    }

    private func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

    // MARK: Listeners

    @Test func `a listener that was left open is served as any other`() throws {
        try onHub {
            try withSocket { descriptor in
                listen(descriptor, 10)
                let socket = try InheritedSocket.listener(descriptor)
                #expect(socket.isInherited)
                #expect(socket.address.description.hasPrefix("0.0.0.0:"))
                let server = StreamServer(Listener(try socket.duplicate())) { connection in
                    while let bytes = try connection.receiveView() { try connection.sendAll(bytes) }
                }
                server.start()
                let client = try Peer(connectedTo: loopback.with(port: try #require(socket.address.port)))
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
                try server.stop()
            }
        }
    }

    @Test(arguments: [AF_INET, AF_UNIX])
    func `a listener does not block, is closed on exec, and sends at once`(family: Int32) throws {
        try withSocket(family) { descriptor in
            if family == AF_UNIX {
                // A socket that is bound without a name gets one from the kernel.
                var nowhere = sockaddr()
                nowhere.sa_family = sa_family_t(AF_UNIX)
                bind(descriptor, &nowhere, socklen_t(MemoryLayout<sa_family_t>.size))
            }
            listen(descriptor, 10)
            _ = try InheritedSocket.listener(descriptor)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(descriptor, F_GETFD) == FD_CLOEXEC)
            if family == AF_INET { #expect(option(descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY) != 0) }
        }
    }

    @Test func `a descriptor that is not a listening stream socket is refused and stays open`() throws {
        #expect(listenerFlaw(4711) == .notOpen)
        try withSocket { descriptor in
            #expect(listenerFlaw(descriptor) == .notListening)
            #expect(isOpen(descriptor))
        }
        for kind in [SOCK_DGRAM, SOCK_SEQPACKET] {
            try withSocket(AF_UNIX, kind) { descriptor in
                #expect(listenerFlaw(descriptor) == .noStream)
            }
        }
        let file = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(file) }
        #expect(listenerFlaw(file) == .noSocket)
        #expect(isOpen(file))
    }

    @Test(arguments: [true, false])
    func `a server that stops leaves queued clients to the next one`(onPath: Bool) throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let made = try ListeningSocket(on: onPath ? .unix(path: "\(directory)/socket") : loopback, backlog: 10)
                defer { made.close() }
                let first = StreamServer(Listener(try InheritedSocket.listener(made.duplicate().descriptor))) { _ in }
                first.start()
                // No green thread has run yet, and so no client is accepted.
                let client = try Peer(connectedTo: made.address)
                client.write(pattern(10))
                first.stopAccepting()
                let late = try Peer(connectedTo: made.address)
                try first.drain(until: .never)
                try Greenlet.yield()
                #expect(client.read() == .nothing)
                let second = StreamServer(Listener(try InheritedSocket.listener(made.duplicate().descriptor))) {
                    try $0.sendAll($0.receive(exactly: 10))
                }
                second.start()
                late.write(pattern(10))
                for waiting in [client, late] { #expect(try waiting.read(exactly: 10) == pattern(10)) }
                try second.stop()
                if onPath { #expect(entries(of: directory) == ["socket"]) }
            }
        }
    }

    @Test func `the path of an inherited unix socket stays when its listener is closed`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let made = try ListeningSocket(on: .unix(path: "\(directory)/socket"), backlog: 10)
                let listener = Listener(try InheritedSocket.listener(made.descriptor))
                #expect(listener.address == made.address)
                listener.close()
                #expect(entries(of: directory) == ["socket"])
            }
        }
    }

    /// The processes of a pool accept in this way.
    @Test func `without a hub, several listeners are accepted from in turn`() throws {
        try onOSThread {
            let sockets = try (0..<3).map { _ in try ListeningSocket(on: loopback, backlog: 100) }
            let clients = try (0..<30).map { number in
                let client = try Peer(connectedTo: sockets[number % 3].address)
                client.write([UInt8(number % 3)])
                return client
            }
            let model = Taking(30)
            let server = StreamServer(
                sockets.map { Listener(offHub: $0, shouldStop: { model.left == 0 }) }, model: model,
                admission: LocalAdmission(places: 1))
            try server.acceptHere()
            // Each round has a client of each listener, though ten clients waited at the first listener.
            for round in 0..<10 { #expect(Set(model.taken[round * 3..<round * 3 + 3]) == [0, 1, 2]) }
            for client in clients { #expect(client.read() == .end) }
        }
    }

    /// Reads a byte, and ends.
    private final class Taking: ConnectionModel {
        var left: Int
        var taken: [UInt8] = []
        let socketsBlock = true
        let contextCall = NetError.Call.mmap

        init(_ count: Int) { left = count }

        func start(_ socket: consuming PendingConnection, for server: StreamServer) {
            var byte: UInt8 = 0
            recv(socket.descriptor.number, &byte, 1, 0)
            taken.append(byte)
            left -= 1
            server.connectionStarted()
            server.connectionEnded(socket.peer, .done)
        }

        func finishReceiving() {}
        func cancel() {}
    }

    // MARK: Connections

    @Test func `a connection that was left open is made to block, and tells its peer`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let client = try Peer(connectedTo: listener.address)
            let accepted = try listener.accept()
            #expect(fcntl(accepted.descriptor, F_GETFL) & O_NONBLOCK != 0)
            #expect(try InheritedSocket.connection(accepted.descriptor) == client.address)
            #expect(fcntl(accepted.descriptor, F_GETFL) & O_NONBLOCK == 0)
        }
    }

    @Test func `a socket pair is a connection too`() throws {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer { for end in ends { close(end) } }
        #expect(try InheritedSocket.connection(ends[0]) == .unix(path: ""))
    }

    @Test func `a descriptor that is not a connected stream socket is refused`() throws {
        #expect(connectionFlaw(4711) == .notOpen)
        try withSocket { descriptor in
            #expect(connectionFlaw(descriptor) == .notConnected)
            listen(descriptor, 10)
            #expect(connectionFlaw(descriptor) == .listening)
        }
        try withSocket(AF_INET, SOCK_DGRAM) { descriptor in
            #expect(connectionFlaw(descriptor) == .noStream)
        }
    }
}
