import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct ConnectTests {
    @Test func `connect reaches a listener over TCP`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let client = try Connection.connect(to: listener.address)
            let served = try listener.accept()
            #expect(client.peer == listener.address)
            #expect(option(client.descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY) == 1)
            #expect(fcntl(client.descriptor, F_GETFD) & FD_CLOEXEC != 0)
            try client.sendAll(pattern(10))
            #expect(try served.receive(exactly: 10) == pattern(10))
            try served.sendAll(pattern(20))
            #expect(try client.receive(exactly: 20) == pattern(20))
        }
    }

    @Test func `connect reaches a listener on a path and on an abstract name`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                for path in ["\(directory)/socket", "@greennet-\(getpid())"] {
                    let listener = try Listener(on: .unix(path: path))
                    let client = try Connection.connect(to: listener.address)
                    let served = try listener.accept()
                    #expect(client.peer == .unix(path: path))
                    #expect(served.peer == .unix(path: ""))
                    try client.sendAll(pattern(10))
                    #expect(try served.receive(exactly: 10) == pattern(10))
                }
            }
        }
    }

    @Test func `urgent data reaches both sides at its place in the stream, over TCP and unix sockets`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                for address in [loopback, .unix(path: "\(directory)/socket")] {
                    let listener = try Listener(on: address)
                    let client = try Connection.connect(to: listener.address)
                    let served = try listener.accept()
                    for (sender, receiver) in [(client, served), (served, client)] {
                        try sender.sendAll(pattern(10))
                        // Unix sockets have urgent data since Linux 5.15.
                        let flags = Int32(MSG_OOB | MSG_NOSIGNAL)
                        guard Glibc.send(sender.descriptor, pattern(3), 3, flags) == 3 else { continue }
                        try sender.sendAll(pattern(10))
                        #expect(try receiver.receive(exactly: 23) == pattern(10) + pattern(3) + pattern(10))
                    }
                }
            }
        }
    }

    // MARK: Refused

    /// A socket is bound to the port without listening, so that no other process gets the port meanwhile.
    @Test func `connect to a port without a listener is refused and leaves nothing open`() throws {
        try onHub {
            let closed = Peer(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
            var storage = try #require(loopback.storage)
            try #require(SystemCalls.bind(closed.descriptor, to: &storage) == 0)
            let before = openDescriptors()
            let error = failure { () throws(NetError) in try Connection.connect(to: closed.address) }
            #expect(error == NetError(.connect, result: -Int(ECONNREFUSED), closed.address))
            #expect(openDescriptors() == before)
        }
    }

    @Test func `connect to a path without a listener fails and leaves nothing open`() throws {
        try onHub {
            let before = openDescriptors()
            let nowhere = SocketAddress.unix(path: "/tmp/no/such/socket")
            let error = failure { () throws(NetError) in try Connection.connect(to: nowhere) }
            #expect(error == NetError(.connect, result: -Int(ENOENT), nowhere))
            let long = SocketAddress.unix(path: String(repeating: "p", count: 200))
            #expect(
                failure { () throws(NetError) in try Connection.connect(to: long) }
                    == NetError(.connect, result: -Int(ENAMETOOLONG), long))
            #expect(openDescriptors() == before)
        }
    }

    @Test func `connect without a descriptor left fails`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let error = try withRoom(forDescriptors: 0) {
                failure { () throws(NetError) in try Connection.connect(to: listener.address) }
            }
            #expect(error == NetError(.socket, result: -Int(EMFILE), listener.address))
        }
    }

    // MARK: A listener that does not answer

    @Test func `connect throws at its deadline, not before, and leaves nothing open`() throws {
        try onHub {
            let silent = try SilentListener()
            let before = openDescriptors()
            let deadline = Deadline.now + .milliseconds(50)
            let error = failure { () throws(NetError) in
                try Connection.connect(to: silent.listener.address, until: deadline)
            }
            let late = Deadline.now - deadline
            #expect(error == NetError(.connect, .wait(.deadlinePassed), silent.listener.address))
            #expect(late >= .zero)
            #expect(late < slack)
            #expect(openDescriptors() == before)
            silent.close()
        }
    }

    @Test func `a killed connect throws cancelled and leaves nothing open`() throws {
        try onHub {
            let silent = try SilentListener()
            let before = openDescriptors()
            var error: NetError?
            let client = spawn {
                error = failure { () throws(NetError) in try Connection.connect(to: silent.listener.address) }
            }
            try client.waitUntilParked()
            #expect(openDescriptors() == before + 1)
            client.kill()
            try client.join()
            #expect(error == NetError(.connect, .wait(.cancelled), silent.listener.address))
            #expect(openDescriptors() == before)
            silent.close()
        }
    }

    @Test func `a time limit around connect comes out as TimedOut`() throws {
        try onHub {
            let silent = try SilentListener()
            let before = openDescriptors()
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(10)) { try Connection.connect(to: silent.listener.address) }
            }
            #expect(openDescriptors() == before)
            silent.close()
        }
    }

    // MARK: No room

    /// A blocking call would wait there; a non-blocking call gets EAGAIN, and no event says when to try again.
    @Test func `connect waits while the queue of a unix socket is full`() throws {
        try withFullUnixSocket { listener in
            let client = spawn { try Connection.connect(to: listener.address) }
            try client.waitUntilParked()
            _ = try listener.accept()
            let connection = try client.value()
            let served = try listener.accept()
            try connection.sendAll(pattern(10))
            #expect(try served.receive(exactly: 10) == pattern(10))
        }
    }

    @Test func `connect to a full unix socket throws at its deadline and when killed, and leaves nothing open`() throws
    {
        try withFullUnixSocket { listener in
            let before = openDescriptors()
            let late = failure { () throws(NetError) in
                try Connection.connect(to: listener.address, until: .now + .milliseconds(20))
            }
            #expect(late == NetError(.connect, .wait(.deadlinePassed), listener.address))
            var error: NetError?
            let client = spawn {
                error = failure { () throws(NetError) in try Connection.connect(to: listener.address) }
            }
            try client.waitUntilParked()
            client.kill()
            try client.join()
            #expect(error == NetError(.connect, .wait(.cancelled), listener.address))
            #expect(openDescriptors() == before)
        }
    }

    private func withFullUnixSocket(_ body: @escaping @Sendable (Listener) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            try onHub {
                // The kernel queues one connection more than the backlog.
                let listener = try Listener(on: .unix(path: "\(directory)/socket"), backlog: 0)
                let queued = try Connection.connect(to: listener.address)
                try body(listener)
                queued.close()
            }
        }
    }

    @Test func `a connection of a socket to itself is a refusal, unless it was asked for`() throws {
        try onHub {
            let closed = try Listener(on: loopback)
            closed.close()
            let itself = try Connection.connect(to: closed.address, from: closed.address)
            try itself.sendAll(pattern(10))
            #expect(try itself.receive(exactly: 10) == pattern(10))
        }
    }

    // MARK: By name

    @Test func `connect by name tries the addresses in turn`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let port = try #require(listener.address.port)
            let client = try Connection.connect(toHost: "127.0.0.2+127.0.0.3+127.0.0.1.gated", port: port)
            #expect(client.peer == listener.address)
            #expect(try Connection.connect(toHost: "127.0.0.1", port: port).peer == listener.address)
            #expect(try Connection.connect(toHost: "localhost", port: port).peer == listener.address)
        }
    }

    @Test func `connect by name throws the most telling error, with the name and all addresses and their reasons`()
        throws
    {
        try onHub {
            let closed = try Listener(on: loopback)
            closed.close()
            let port = try #require(closed.address.port)
            let before = openDescriptors()
            // TCP cannot connect to a multicast group.
            let error = #expect(throws: NetError.self) {
                try Connection.connect(toHost: "224.0.0.1+127.0.0.2+127.0.0.3.gated", port: port)
            }
            #expect(error?.errno == SystemError(ECONNREFUSED))
            #expect(error?.peer == SocketAddress(ip: "127.0.0.2", port: port))
            #expect(error?.attempts.map(\.errno?.code) == [ENETUNREACH, ECONNREFUSED, ECONNREFUSED])
            let attempts = try #require(error?.attempts).map { "\($0.peer!): \($0.errno!)" }
            #expect(
                error?.description
                    == "cannot connect to 224.0.0.1+127.0.0.2+127.0.0.3.gated:\(port): \(attempts.joined(separator: "; "))"
            )
            #expect(openDescriptors() == before)
        }
    }

    @Test func `if no address is reachable, connect by name throws the first one's error`() throws {
        try onHub {
            let error = #expect(throws: NetError.self) {
                try Connection.connect(toHost: "224.0.0.1+224.0.0.2.gated", port: 1)
            }
            #expect(error?.errno == SystemError(ENETUNREACH))
            #expect(error?.peer == SocketAddress(ip: "224.0.0.1", port: 1))
        }
    }

    @Test func `connect by an unknown name throws`() throws {
        try onHub {
            #expect(throws: ResolveError(host: "no..such..name", code: EAI_NONAME)) {
                try Connection.connect(toHost: "no..such..name", port: 1)
            }
        }
    }

    @Test func `the deadline of connect by name is that of all addresses together`() throws {
        try onHub {
            try withSilent(2) { silent, port in
                let before = openDescriptors()
                let deadline = Deadline.now + .milliseconds(300)
                let error = #expect(throws: NetError.self) {
                    try Connection.connect(toHost: "127.0.0.1+127.0.0.2+127.0.0.1.gated", port: port, until: deadline)
                }
                #expect(error?.waitError == .deadlinePassed)
                #expect(error?.attempts.map(\.peer) == silent.map(\.listener.address))
                #expect(Deadline.now - deadline < slack)
                #expect(openDescriptors() == before)
            }
        }
    }
}

// MARK: - Several addresses

extension ConnectTests {
    @Test func `a dead first address costs a quarter of a second and leaves nothing open`() throws {
        try onHub {
            try withSilent(1) { silent, port in
                let listener = try Listener(on: SocketAddress(ip: "127.0.0.9", port: port)!)
                let before = openDescriptors()
                let begin = Deadline.now
                let client = try Connection.connect(
                    toHost: "127.0.0.1+127.0.0.9.gated", port: port, until: begin + .seconds(20))
                #expect(client.peer == listener.address)
                #expect(Deadline.now - begin >= ConnectionRace.attemptDelay)
                #expect(Deadline.now - begin < ConnectionRace.attemptDelay + slack)
                #expect(openDescriptors() == before + 1)
                let served = try listener.accept()
                try client.sendAll(pattern(10))
                #expect(try served.receive(exactly: 10) == pattern(10))
            }
        }
    }

    @Test func `an attempt begins a quarter of a second after the one before it, or when that has failed`() throws {
        try onVirtualHub {
            try withSilent(2) { silent, port in
                let listener = try Listener(on: SocketAddress(ip: "127.0.0.9", port: port)!)
                let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.8", "127.0.0.9", "127.0.0.7"]
                let begin = Deadline.now
                let client = try connect(addresses, port)
                #expect(client.peer == listener.address)
                // The two silent addresses take this time; 127.0.0.8 refuses at once.
                let time = Deadline.now - begin
                #expect(time >= .milliseconds(500) && time < .milliseconds(501))
            }
        }
    }

    /// The kernel repeats an attempt's first packet after a second.
    @Test func `an earlier attempt continues beside later ones, and wins if it is answered first`() throws {
        try onHub {
            try withSilent(2) { silent, port in
                let before = openDescriptors()
                let client = spawn { try connect(["127.0.0.1", "127.0.0.2"], port) }
                try waitUntil { openDescriptors() == before + 2 }
                try silent[0].makeRoom()
                let connection = try client.value(until: .after(.seconds(20)))
                #expect(connection.peer == silent[0].listener.address)
                // The descriptors of the listener and of the other attempt are closed.
                #expect(openDescriptors() == before + 1)
            }
        }
    }

    @Test func `a connect that is killed with several attempts under way leaves nothing open`() throws {
        try onHub {
            try withSilent(3) { silent, port in
                let before = openDescriptors()
                var error: (any Error)?
                let client = spawn {
                    do { _ = try connect(["127.0.0.1", "127.0.0.2", "127.0.0.3"], port) } catch let caught {
                        error = caught
                    }
                }
                try waitUntil { openDescriptors() == before + 3 }
                #expect(Hub.current.description.contains("to be writable"))
                client.kill()
                try client.join()
                #expect((error as? NetError)?.waitError == .cancelled)
                #expect((error as? NetError)?.attempts.count == 3)
                #expect(openDescriptors() == before)
            }
        }
    }

    @Test func `a time limit around connect by name comes out as TimedOut`() throws {
        try onHub {
            try withSilent(2) { silent, port in
                let before = openDescriptors()
                #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(300)) { try connect(["127.0.0.1", "127.0.0.2"], port) }
                }
                #expect(openDescriptors() == before)
            }
        }
    }

    @Test func `a thousand unreachable addresses keep no other green thread from running`() throws {
        try onHub {
            let addresses = (0..<1000).map { "224.0.\($0 / 250).\($0 % 250 + 1)" }
            var turns = 0
            let other = spawn {
                while true {
                    turns += 1
                    try Greenlet.yield()
                }
            }
            #expect(throws: NetError.self) { try connect(addresses, 1) }
            #expect(turns >= 1000)
            try killAll([other])
        }
    }

    @Test func `without a descriptor for a further attempt, the attempts under way continue`() throws {
        try onHub {
            try withSilent(1) { silent, port in
                let before = openDescriptors()
                let error = try withRoom(forDescriptors: 1) {
                    #expect(throws: NetError.self) {
                        try connect(["127.0.0.1", "127.0.0.2"], port, until: .after(.milliseconds(300)))
                    }
                }
                #expect(error?.waitError == .deadlinePassed)
                #expect(error?.attempts.map(\.call) == [.socket, .connect])
                #expect(openDescriptors() == before)
            }
        }
    }

    @Test func `the addresses of both families alternate, each once, beginning with the family of the first`() {
        func order(_ addresses: String...) -> [String] {
            let order = ConnectionRace.order(addresses.map { SocketAddress(ip: $0, port: 1)! })
            return order.map { "\($0)".split(separator: ":").count > 2 ? "six" : "\($0.with(port: 0))" }
        }
        #expect(order("10.0.0.1") == ["10.0.0.1:0"])
        #expect(order("::2", "::3", "::4", "10.0.0.1") == ["six", "10.0.0.1:0", "six", "six"])
        #expect(order("10.0.0.1", "10.0.0.2", "::2", "::3") == ["10.0.0.1:0", "six", "10.0.0.2:0", "six"])
        #expect(order("10.0.0.1", "10.0.0.1", "::2", "10.0.0.1") == ["10.0.0.1:0", "six"])
    }

    private func connect(_ addresses: [String], _ port: UInt16, until deadline: Deadline = .never) throws -> Connection
    {
        try Connection.connect(toHost: "several", port: port, until: deadline) { _, port, _ in
            addresses.map { SocketAddress(ip: $0, port: port)! }
        }
    }

    /// Makes silent listeners on 127.0.0.1, 127.0.0.2 and so on, all with one port.
    private func withSilent(_ count: UInt8, _ body: ([SilentListener], UInt16) throws -> Void) throws {
        let first = try SilentListener()
        let port = first.listener.address.port!
        let others = try (1..<count).map { try SilentListener(on: SocketAddress(ip: "127.0.0.\($0 + 1)", port: port)!) }
        defer { for silent in [first] + others { silent.close() } }
        try body([first] + others, port)
    }
}

/// A listener whose queue is full, so that the kernel does not answer clients.
private final class SilentListener {
    let listener: Listener
    private var queued: [Peer] = []

    init(on address: SocketAddress = loopback) throws {
        listener = try Listener(on: address, backlog: 0)
        queued = [try Peer(connectedTo: listener.address)]
    }

    /// Makes room for one more connection.
    func makeRoom() throws { _ = try listener.accept() }

    func close() {
        listener.close()
        queued = []
    }
}
