import Glibc
import TestSupport
import Testing

@testable import GreenNet

let hasIPv6: Bool = {
    let probe = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    guard probe >= 0, var storage = SocketAddress(ip: "::1", port: 0)?.storage else { return false }
    defer { close(probe) }
    return SystemCalls.bind(probe, to: &storage) == 0
}()

struct ListenerTests {
    // MARK: Accepting

    /// The kernel takes a descriptor before it looks for a client.
    @Test(arguments: [EMFILE, ENFILE])
    func `without descriptors, an accept fails only where a client is there`(number: Int32) throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let socket = listener.listeningSocket
            let accepts = [
                { try listener.acceptNow(blocking: false) != nil }, { try socket.acceptNow(blocking: true) != nil },
            ]
            for accept in accepts {
                let isThere = try LibraryCall.accept.failing(1, with: number) { try accept() }
                #expect(!isThere)
                #expect(!listener.mayAccept)
                let peer = try Peer(connectedTo: listener.address)
                let error = #expect(throws: NetError.self) {
                    try LibraryCall.accept.failing(1, with: number) { _ = try accept() }
                }
                #expect(error?.errno == SystemError(number))
                let isAccepted = try accept()
                #expect(isAccepted)
                peer.close()
                // So that the next one begins with none.
                let isEmpty = try !accept()
                #expect(isEmpty)
            }
            listener.close()
        }
    }

    // MARK: Addresses

    @Test func `with port 0 the kernel chooses a port`() throws {
        try onHub {
            let one = try Listener(on: loopback)
            let other = try Listener(on: loopback)
            #expect(one.address.port != 0)
            #expect(one.address.port != other.address.port)
            #expect(one.address == loopback.with(port: try #require(one.address.port)))
            #expect(try talk(through: other) == pattern(10))
        }
    }

    @Test(.enabled(if: hasIPv6, "this machine has no IPv6"))
    func `a listener listens on IPv6`() throws {
        try onHub {
            let listener = try Listener(on: try #require(SocketAddress(ip: "::1", port: 0)))
            #expect(listener.address.description.hasPrefix("[::1]:"))
            #expect(try talk(through: listener) == pattern(10))
        }
    }

    @Test func `an address in use is refused`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let error = failure { () throws(NetError) in try Listener(on: listener.address) }
            #expect(error == NetError(.bind, result: -Int(EADDRINUSE), listener.address))
            #expect(try talk(through: listener) == pattern(10))
        }
    }

    /// The kernel still has the old listener's connections.
    @Test func `an address is free again at once when its listener has closed`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let client = try Peer(connectedTo: listener.address)
            try listener.accept().close()
            #expect(try client.ending() == .end)
            listener.close()
            #expect(try talk(through: try Listener(on: listener.address)) == pattern(10))
        }
    }

    @Test(arguments: ["192.0.2.1"] + (hasIPv6 ? ["2001:db8::1"] : []))
    func `with freebind a listener listens on an address that the machine does not have`(host: String) throws {
        try onHub {
            let elsewhere = try #require(SocketAddress(ip: host, port: 0))
            let listener = try Listener(on: elsewhere, freebind: true)
            #expect(listener.address == elsewhere.with(port: try #require(listener.address.port)))
            #expect(listener.address.port != 0)
        }
    }

    // MARK: Who may connect to a path

    private func status(_ path: String) throws -> stat {
        var status = stat()
        try #require(lstat(path, &status) == 0)
        return status
    }

    @Test(arguments: [0, 0o600, 0o660, 0o777])
    func `the path of a unix socket has the mode that was asked for`(mode: mode_t) throws {
        try withTemporaryPath { path in
            let socket = try ListeningSocket(
                on: .unix(path: path), backlog: 1, permissions: UnixPermissions(mode: mode))
            defer { socket.close() }
            try #expect(status(path).st_mode == S_IFSOCK | mode)
        }
    }

    @Test func `a path allows nothing until its mode is set`() throws {
        try withTemporaryPath { path in
            let address = SocketAddress.unix(path: path)
            let permissions = UnixPermissions(mode: 0o777)
            let descriptor = Int32(SystemCalls.socket(family: AF_UNIX))
            defer { close(descriptor) }
            try permissions.withholdAll(from: descriptor, at: address)
            var storage = try #require(address.storage)
            try #require(SystemCalls.bind(descriptor, to: &storage) == 0)
            try #expect(status(path).st_mode == S_IFSOCK)
            try permissions.grant(at: path, of: address)
            try #expect(status(path).st_mode == S_IFSOCK | 0o777)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func `the path of a unix socket has the owner and the group that were asked for`() throws {
        try withTemporaryPath { path in
            let permissions = UnixPermissions(mode: 0o660, owner: 1234, group: 4321)
            let socket = try ListeningSocket(on: .unix(path: path), backlog: 1, permissions: permissions)
            defer { socket.close() }
            let status = try status(path)
            #expect(status.st_uid == 1234)
            #expect(status.st_gid == 4321)
            #expect(status.st_mode == S_IFSOCK | 0o660)
        }
    }

    @Test func `a file that has replaced the socket is left alone`() throws {
        try withTemporaryDirectory { directory in
            let (file, link) = ("\(directory)/file", "\(directory)/link")
            try write("dear", to: file)
            try #require(symlink(file, link) == 0)
            let before = try status(file).st_mode
            for path in [file, link] {
                let error = #expect(throws: NetError.self) {
                    try UnixPermissions(mode: 0o777).grant(at: path, of: .unix(path: path))
                }
                #expect(error?.errno?.code == ENOTSOCK)
            }
            try #expect(status(file).st_mode == before)
        }
    }

    /// The server will listen a moment later: another server that starts meanwhile must not take its path.
    @Test func `a path that is bound and not listened on yet is in use`() throws {
        try withTemporaryPath { path in
            let address = SocketAddress.unix(path: path)
            let descriptor = Int32(SystemCalls.socket(family: AF_UNIX))
            defer { close(descriptor) }
            var storage = try #require(address.storage)
            try #require(SystemCalls.bind(descriptor, to: &storage) == 0)
            let error = #expect(throws: NetError.self) { try ListeningSocket(on: address, backlog: 1) }
            #expect(error?.errno?.code == EADDRINUSE)
        }
    }

    @Test func `an address of another machine is refused`() throws {
        try onHub {
            let elsewhere = try #require(SocketAddress(ip: "198.51.100.7", port: 0))
            let error = failure { () throws(NetError) in try Listener(on: elsewhere) }
            #expect(error == NetError(.bind, result: -Int(EADDRNOTAVAIL), elsewhere))
        }
    }

    // MARK: Unix sockets

    @Test func `a listener listens on a path and removes it when it closes`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let listener = try Listener(on: .unix(path: "\(directory)/socket"))
                #expect(listener.address == .unix(path: "\(directory)/socket"))
                #expect(try talk(through: listener) == pattern(10))
                #expect(entries(of: directory) == ["socket"])
                listener.close()
                #expect(entries(of: directory) == [])
                var forgotten: Listener? = try Listener(on: .unix(path: "\(directory)/socket"))
                #expect(forgotten != nil)
                forgotten = nil
                #expect(entries(of: directory) == [])
            }
        }
    }

    @Test func `a path that another server has taken over is left alone`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let address = SocketAddress.unix(path: "\(directory)/socket")
                let old = try Listener(on: address)
                unlink("\(directory)/socket")
                let new = try Listener(on: address)
                old.close()
                #expect(try talk(through: new) == pattern(10))
            }
        }
    }

    @Test func `a path that is in use is refused, and stays in use`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let address = SocketAddress.unix(path: "\(directory)/socket")
                let listener = try Listener(on: address)
                let error = failure { () throws(NetError) in try Listener(on: address) }
                #expect(error == NetError(.bind, result: -Int(EADDRINUSE), address))
                // The probe whether the address is in use has left no connection in the queue.
                #expect(try talk(through: listener) == pattern(10))
            }
        }
    }

    @Test func `a path that a dead server has left behind is taken over`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let address = SocketAddress.unix(path: "\(directory)/socket")
                let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
                var storage = try #require(address.storage)
                try #require(SystemCalls.bind(dead, to: &storage) == 0 && listen(dead, 1) == 0)
                Glibc.close(dead)
                #expect(entries(of: directory) == ["socket"])
                #expect(try talk(through: try Listener(on: address)) == pattern(10))
            }
        }
    }

    @Test func `a file that is no socket is left alone`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let address = SocketAddress.unix(path: "\(directory)/precious")
                Glibc.close(open("\(directory)/precious", O_CREAT | O_WRONLY, 0o600))
                let error = failure { () throws(NetError) in try Listener(on: address) }
                #expect(error == NetError(.bind, result: -Int(ENOTSOCK), address))
                #expect(entries(of: directory) == ["precious"])
            }
        }
    }

    @Test func `a link to a dead server's path is left alone`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                symlink("\(directory)/nowhere", "\(directory)/link")
                let address = SocketAddress.unix(path: "\(directory)/link")
                let error = failure { () throws(NetError) in try Listener(on: address) }
                #expect(error == NetError(.bind, result: -Int(ENOTSOCK), address))
                #expect(entries(of: directory) == ["link"])
            }
        }
    }

    @Test func `a path that is too long or leads nowhere is refused`() throws {
        try onHub {
            let long = SocketAddress.unix(path: "/tmp/" + String(repeating: "p", count: 103))
            #expect(failure { () throws(NetError) in try Listener(on: long) }?.errno == SystemError(ENAMETOOLONG))
            let nowhere = SocketAddress.unix(path: "/tmp/no/such/directory")
            let error = failure { () throws(NetError) in try Listener(on: nowhere) }
            #expect(error == NetError(.bind, result: -Int(ENOENT), nowhere))
        }
    }

    @Test func `an abstract name needs no file, and is free again when the listener closes`() throws {
        try onHub {
            let address = SocketAddress.unix(path: "@greennet-\(getpid())")
            for _ in 0..<2 {
                let listener = try Listener(on: address)
                #expect(listener.address == address)
                #expect(try talk(through: listener) == pattern(10))
            }
        }
    }

    @Test func `an abstract name in use is refused, with or without a listener`() throws {
        try onHub {
            let address = SocketAddress.unix(path: "@greennet-\(getpid())")
            let owner = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            defer { Glibc.close(owner) }
            var storage = try #require(address.storage)
            try #require(SystemCalls.bind(owner, to: &storage) == 0)
            for _ in 0..<2 {
                let error = failure { () throws(NetError) in try Listener(on: address) }
                #expect(error == NetError(.bind, result: -Int(EADDRINUSE), address))
                listen(owner, 1)
            }
        }
    }

    /// Sends bytes through a connection to `listener`, and returns the bytes received.
    private func talk(through listener: Listener) throws -> [UInt8] {
        let client = try Peer(connectedTo: listener.address)
        let connection = try listener.accept()
        client.write(pattern(10))
        return try connection.receive(exactly: 10)
    }

    // MARK: Sockets that are handed on

    @Test func `listeners share a port if each asks for it`() throws {
        try onHub {
            let one = try ListeningSocket(on: loopback, backlog: 100, sharesPort: true)
            let other = try ListeningSocket(on: one.address, backlog: 100, sharesPort: true)
            #expect(one.address == other.address)
            let listeners = [Listener(one), Listener(other)]
            let error = failure { () throws(NetError) in try Listener(on: one.address) }
            #expect(error?.errno == SystemError(EADDRINUSE))
            let clients = try (0..<50).map { _ in try Peer(connectedTo: one.address) }
            let accepted = listeners.map { listener in
                var count = 0
                while (try? listener.accept(until: .now)) != nil { count += 1 }
                return count
            }
            #expect(accepted[0] + accepted[1] == clients.count)
            #expect(accepted.allSatisfy { $0 > 0 })
        }
    }

    @Test func `a duplicate accepts from the same queue, and goes on when the other is closed`() throws {
        try onHub {
            let socket = try ListeningSocket(on: loopback, backlog: 10)
            let duplicate = try socket.duplicate()
            #expect(duplicate.descriptor != socket.descriptor)
            #expect(duplicate.address == socket.address)
            #expect(fcntl(duplicate.descriptor, F_GETFD) & FD_CLOEXEC != 0)
            socket.close()
            #expect(try talk(through: Listener(duplicate)) == pattern(10))
        }
    }

    @Test func `a path belongs to one of the listeners, which removes it`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let socket = try ListeningSocket(on: .unix(path: "\(directory)/socket"), backlog: 10)
                let guest = Listener(try socket.duplicate(), ownsPath: false)
                let owner = Listener(socket)
                guest.close()
                #expect(entries(of: directory) == ["socket"])
                owner.close()
                #expect(entries(of: directory) == [])
            }
        }
    }

    // MARK: Accepting

    @Test func `accept parks until a client connects`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let acceptor = spawn { try listener.accept() }
            try acceptor.waitUntilParked()
            let client = try Peer(connectedTo: listener.address)
            let connection = try acceptor.value()
            #expect(connection.peer == client.address)
        }
    }

    @Test func `connections are accepted in the order in which they came`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let clients = try (0..<10).map { _ in try Peer(connectedTo: listener.address) }
            #expect(try clients.map { _ in try listener.accept().peer } == clients.map(\.address))
        }
    }

    @Test func `an accepted socket does not block, is closed on exec, and sends without delay`() throws {
        try onHub {
            let (connection, _) = try connectedPair()
            let number = connection.descriptor
            #expect(fcntl(number, F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
            #expect(option(number, level: Int32(IPPROTO_TCP), TCP_NODELAY) == 1)
            let listener = try Listener(on: loopback)
            #expect(fcntl(listener.socket.descriptor, F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(listener.socket.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        }
    }

    @Test func `accept throws at its deadline, not before, and the listener stays usable`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let deadline = Deadline.now + .milliseconds(30)
            let error = failure { () throws(NetError) in try listener.accept(until: deadline) }
            let late = Deadline.now - deadline
            #expect(error == NetError(.accept, .wait(.deadlinePassed), listener.address))
            #expect(late >= .zero)
            #expect(late < slack)
            let client = try Peer(connectedTo: listener.address)
            #expect(try listener.accept(until: .now).peer == client.address)
        }
    }

    @Test func `if a connection and the deadline come at once, the connection counts`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            for _ in 0..<10 {
                let deadline = Deadline.now + .milliseconds(5)
                let acceptor = spawn { try listener.accept(until: deadline) }
                try Greenlet.yield()
                let client = try Peer(connectedTo: listener.address)
                block(until: deadline + .milliseconds(1))
                #expect(try acceptor.value().peer == client.address)
            }
        }
    }

    @Test func `a killed acceptor throws cancelled`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            var error: NetError?
            let acceptor = spawn { error = failure { () throws(NetError) in try listener.accept() } }
            try acceptor.waitUntilParked()
            acceptor.kill()
            try acceptor.join()
            #expect(error == NetError(.accept, .wait(.cancelled), listener.address))
        }
    }

    @Test func `a killed acceptor throws even if connections are there`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let client = try Peer(connectedTo: listener.address)
            let acceptor = spawn {
                Greenlet.current.kill()
                return try listener.accept()
            }
            try acceptor.join()
            #expect(acceptor.state == .killed)
            #expect(try listener.accept().peer == client.address)
        }
    }

    @Test func `an acceptor that never has to wait gives way to others`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let clients = try (0..<100).map { _ in try Peer(connectedTo: listener.address) }
            var turns = 0
            let other = spawn {
                while true {
                    turns += 1
                    try Greenlet.yield()
                }
            }
            for _ in clients { _ = try listener.accept() }
            #expect(turns >= 5)
            other.kill()
        }
    }

    // MARK: Close

    @Test func `close wakes the acceptor with closed, and every later call throws closed`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let acceptor = spawn { failure { () throws(NetError) in try listener.accept() } }
            try acceptor.waitUntilParked()
            listener.close()
            listener.close()
            #expect(try acceptor.value() == NetError(.accept, .wait(.closed), listener.address))
            #expect(failure { () throws(NetError) in try listener.accept() }?.waitError == .closed)
        }
    }

    @Test func `connections that were not accepted are reset by the close`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let client = try Peer(connectedTo: listener.address)
            listener.close()
            #expect(try client.ending() == .failed(SystemError(ECONNRESET)))
        }
    }
}
