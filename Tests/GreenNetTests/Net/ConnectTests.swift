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

    @Test func `urgent data reach both sides at their place in the stream, over TCP and unix sockets`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                for address in [loopback, .unix(path: "\(directory)/socket")] {
                    let listener = try Listener(on: address)
                    let client = try Connection.connect(to: listener.address)
                    let served = try listener.accept()
                    for (sender, receiver) in [(client, served), (served, client)] {
                        try sender.sendAll(pattern(10))
                        // Unix sockets have it since Linux 5.15.
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

    /// Bound but not listening: nobody else can get that port meanwhile.
    @Test func `connect to a port where nobody listens is refused, and leaves nothing open`() throws {
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

    @Test func `connect to a path at which nobody listens fails, and leaves nothing open`() throws {
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

    @Test func `connect by name throws the last address's error`() throws {
        try onHub {
            let closed = try Listener(on: loopback)
            closed.close()
            let port = try #require(closed.address.port)
            let before = openDescriptors()
            let error = #expect(throws: NetError.self) {
                try Connection.connect(toHost: "127.0.0.2+127.0.0.3.gated", port: port)
            }
            #expect(error?.errno == Errno(ECONNREFUSED))
            #expect(error?.peer == SocketAddress(ip: "127.0.0.3", port: port))
            #expect(openDescriptors() == before)
        }
    }

    @Test func `connect by a name that is none throws`() throws {
        try onHub {
            #expect(throws: ResolveError(host: "no..such..name", code: EAI_NONAME)) {
                try Connection.connect(toHost: "no..such..name", port: 1)
            }
        }
    }

    @Test func `the deadline of connect by name is that of all addresses together`() throws {
        try onHub {
            let silent = try SilentListener()
            let port = try #require(silent.listener.address.port)
            let deadline = Deadline.now + .milliseconds(30)
            let error = #expect(throws: NetError.self) {
                try Connection.connect(toHost: "127.0.0.1+127.0.0.1+127.0.0.1.gated", port: port, until: deadline)
            }
            #expect(error?.waitError == .deadlinePassed)
            #expect(Deadline.now - deadline < slack)
            silent.close()
        }
    }
}

/// Its queue is full, so that the kernel does not answer those who connect.
private final class SilentListener {
    let listener: Listener
    private var queued: [Peer] = []

    init() throws {
        listener = try Listener(on: loopback, backlog: 0)
        queued = [try Peer(connectedTo: listener.address)]
    }

    func close() {
        listener.close()
        queued = []
    }
}
