import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct AcceptFailureTests {
    /// Errors of accept(2) that concern the new connection, or the network from which it came.
    @Test(arguments: [
        ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT,
        ENOSR,
        ESOCKTNOSUPPORT, EPROTONOSUPPORT,
    ])
    func `a connection that was lost is skipped`(number: Int32) {
        #expect(AcceptFailure(NetError(.accept, result: -Int(number), nil)) == .skip)
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func `without descriptors or memory the accept loop pauses`(number: Int32) {
        #expect(AcceptFailure(NetError(.accept, result: -Int(number), nil)) == .pause)
    }

    @Test(arguments: [EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, EFAULT])
    func `a broken listener is given up`(number: Int32) {
        #expect(AcceptFailure(NetError(.accept, result: -Int(number), nil)) == .stop)
    }
}

struct AcceptLoopTests {
    // MARK: Skip

    @Test(arguments: [ECONNABORTED, EPROTO, EPERM, EHOSTUNREACH])
    func `after a lost connection the next one is accepted at once`(number: Int32) throws {
        try onHub {
            let loop = try RunningLoop()
            try LibraryCall.accept.failing(3, with: number) {
                let client = try Peer(connectedTo: loop.listener.address)
                try waitUntil { loop.accepted.count == 1 }
                #expect(loop.accepted.map(\.peer) == [client.address])
            }
            #expect(loop.events == Array(repeating: "skipped \(SystemError(number).name)", count: 3))
            try loop.end()
        }
    }

    @Test func `lost connections without end do not stop the hub`() throws {
        try onHub {
            let loop = try RunningLoop()
            var seen: Set<Int> = []
            let other = spawn {
                while true {
                    seen.insert(loop.events.count)
                    try Greenlet.yield()
                }
            }
            try LibraryCall.accept.failing(1000, with: ECONNABORTED) {
                let client = try Peer(connectedTo: loop.listener.address)
                try waitUntil { loop.accepted.count == 1 }
                client.close()
            }
            #expect(loop.events.count == 1000)
            #expect(seen.count > 10)
            other.kill()
            try loop.end()
        }
    }

    // MARK: Pause

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func `without descriptors the accept loop pauses longer and longer`(number: Int32) throws {
        try onHub {
            let loop = try RunningLoop()
            let begin = Deadline.now
            try LibraryCall.accept.failing(4, with: number) {
                let client = try Peer(connectedTo: loop.listener.address)
                try waitUntil { loop.accepted.count == 1 }
                client.close()
            }
            #expect(Deadline.now - begin >= .milliseconds(10 + 20 + 40 + 80))
            #expect(loop.events == ["paused \(SystemError(number).name)"])
            try loop.end()
        }
    }

    @Test func `without descriptors the accept loop pauses, reports it once, and continues when some are free`() throws
    {
        try onHub {
            let loop = try RunningLoop()
            try withRoom(forDescriptors: 8) {
                let clients = try (0..<8).map { _ in try Peer(connectedTo: loop.listener.address) }
                let addresses = clients[..<2].map(\.address)
                let (calls, busy) = (LibraryCall.accept.count, processorTime())
                try waitUntil { !loop.events.isEmpty }
                try Greenlet.sleep(for: .milliseconds(300))
                #expect(processorTime() - busy < .milliseconds(60))
                #expect(LibraryCall.accept.count - calls < 10)
                #expect(loop.events == ["paused EMFILE"])
                #expect(loop.accepted.isEmpty)
                clients[0].close()
                clients[1].close()
                try waitUntil { loop.accepted.count == 2 }
                #expect(loop.accepted.map(\.peer) == addresses)
                for client in clients { client.close() }
            }
            try loop.end()
        }
    }

    @Test func `the accept loop reports that it accepts again after it has for a while`() throws {
        try onHub {
            let loop = try RunningLoop()
            try LibraryCall.accept.failing(2, with: EMFILE) { try loop.connectOne() }
            #expect(loop.events == ["paused EMFILE"])
            try Greenlet.sleep(for: AcceptLoop.reportInterval)
            try loop.connectOne()
            #expect(loop.events == ["paused EMFILE", "resumed"])
            try loop.connectOne()
            #expect(loop.events == ["paused EMFILE", "resumed"])
            try loop.end()
        }
    }

    @Test func `a long pause is reported once, and so is its end`() throws {
        try onHub {
            let loop = try RunningLoop()
            try LibraryCall.accept.failing(7, with: EMFILE) { try loop.connectOne() }
            #expect(loop.events == ["paused EMFILE", "resumed"])
            try loop.end()
        }
    }

    @Test func `pauses in quick succession are reported once, and a later one again`() throws {
        try onHub {
            let loop = try RunningLoop()
            for _ in 0..<3 { try LibraryCall.accept.failing(1, with: EMFILE) { try loop.connectOne() } }
            #expect(loop.events == ["paused EMFILE"])
            try Greenlet.sleep(for: AcceptLoop.reportInterval)
            try LibraryCall.accept.failing(1, with: ENFILE) { try loop.connectOne() }
            #expect(loop.events.filter { $0.hasPrefix("paused") } == ["paused EMFILE", "paused ENFILE"])
            try loop.end()
        }
    }

    @Test func `a connection without a context is closed, and the accept loop continues`() throws {
        try onHub {
            let loop = try RunningLoop()
            loop.refuse(1)
            let refused = try Peer(connectedTo: loop.listener.address)
            let next = try Peer(connectedTo: loop.listener.address)
            try waitUntil { loop.accepted.count == 1 }
            #expect(loop.accepted.map(\.peer) == [next.address])
            #expect(try refused.ending() == .end)
            #expect(loop.events == ["refused, no context", "paused ENOMEM"])
            try loop.end()
        }
    }

    @Test func `without contexts for connections the accept loop pauses longer and longer`() throws {
        try onHub {
            let loop = try RunningLoop()
            loop.refuse(4)
            let begin = Deadline.now
            let clients = try (0..<5).map { _ in try Peer(connectedTo: loop.listener.address) }
            try waitUntil { loop.accepted.count == 1 }
            #expect(Deadline.now - begin >= .milliseconds(10 + 20 + 40 + 80))
            #expect(loop.accepted.map(\.peer) == [clients[4].address])
            #expect(loop.events.filter { $0 == "refused, no context" }.count == 4)
            #expect(loop.events.filter { $0 != "refused, no context" } == ["paused ENOMEM"])
            try loop.end()
        }
    }

    @Test(arguments: ["peer full", "full"])
    func `a refusal is reported while the connection is still open`(why: String) throws {
        try onHub {
            let (listener, log) = (try Listener(on: loopback), EventLog())
            let admission: any Admission = why == "full" ? LocalAdmission(places: 0) : NoPeerAdmission()
            let server = StreamServer([listener], model: Collector(), admission: admission, overflow: .reject)
            let client = try Peer(connectedTo: listener.address)
            server.onAcceptEvent = { event, _ in
                log.add(event)
                #expect(client.read() == .nothing)
            }
            server.start()
            #expect(try client.ending() == .end)
            #expect(log.events == ["refused, \(why)"])
            try server.stop()
        }
    }

    // MARK: Stop

    @Test func `a broken listener is reported and ends the accept loop`() throws {
        try onHub {
            let loop = try RunningLoop()
            try LibraryCall.accept.failing(1, with: ENOTSOCK) {
                let client = try Peer(connectedTo: loop.listener.address)
                try loop.greenlet.value()
                client.close()
            }
            #expect(loop.events == ["stopped ENOTSOCK"])
        }
    }

    @Test func `a closed listener ends the accept loop without a report`() throws {
        try onHub {
            let loop = try RunningLoop()
            loop.listener.close()
            try loop.greenlet.value()
            #expect(loop.events == [])
        }
    }

    @Test func `a killed accept loop ends, also during a pause`() throws {
        try onHub {
            let loop = try RunningLoop()
            try LibraryCall.accept.failing(100, with: EMFILE) {
                let client = try Peer(connectedTo: loop.listener.address)
                try waitUntil { !loop.events.isEmpty }
                loop.greenlet.kill()
                try loop.greenlet.join()
                client.close()
            }
            #expect(loop.greenlet.state == .killed)
            #expect(loop.events == ["paused EMFILE"])
        }
    }

    // MARK: Batches

    @Test func `connections are accepted in batches, between which the others have their turn`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let clients = try (0..<200).map { _ in try Peer(connectedTo: listener.address) }
            let loop = RunningLoop(on: listener)
            var seen: [Int] = []
            let other = spawn {
                while seen.last != clients.count {
                    seen.append(loop.accepted.count)
                    try Greenlet.yield()
                }
            }
            try other.value()
            #expect(Set(seen).isSubset(of: [0, 64, 128, 192, 200]))
            #expect(Set(seen).isSuperset(of: [64, 128]))
            try loop.end()
        }
    }
}

/// An accept loop on a green thread of its own, and a record of its actions.
private final class RunningLoop {
    let listener: Listener
    let greenlet: Greenlet<Void>
    private let model: Collector
    private let log: EventLog

    convenience init() throws {
        self.init(on: try Listener(on: loopback))
        try greenlet.waitUntilParked()
    }

    init(on listener: Listener) {
        let (model, log) = (Collector(), EventLog())
        let server = StreamServer([listener], model: model, admission: LocalAdmission(places: .max))
        server.onAcceptEvent = { event, _ in log.add(event) }
        greenlet = spawn {
            var loop = AcceptLoop(listener, of: server)
            try loop.run()
        }
        (self.listener, self.model, self.log) = (listener, model, log)
    }

    var events: [String] { log.events }
    var accepted: [Connection] { model.accepted }

    /// The next `count` connections can't be handed over.
    func refuse(_ count: Int) { model.refusals = count }

    /// Waits until one more connection was accepted.
    func connectOne() throws {
        let count = accepted.count
        let client = try Peer(connectedTo: listener.address)
        try waitUntil { accepted.count == count + 1 }
        client.close()
    }

    func end() throws {
        greenlet.kill()
        try greenlet.join()
    }
}

private final class NoPeerAdmission: Admission {
    func reserve() -> Bool { true }
    func release() {}
    func admit(_ peer: SocketAddress) -> Bool { false }
    func leave(_ peer: SocketAddress) {}
    var lookInterval: Duration? { nil }
}

/// Keeps connections, and serves none.
private final class Collector: ConnectionModel {
    private(set) var accepted: [Connection] = []
    var refusals = 0

    var socketsBlock: Bool { false }
    var contextCall: NetError.Call { .mmap }

    func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let peer = socket.peer
        if refusals > 0 {
            refusals -= 1
            throw SpawnError(errno: SystemError(EAGAIN))
        }
        accepted.append(Connection(descriptor: socket.releaseDescriptor(), peer: peer))
        server.connectionStarted()
    }

    func finishReceiving() {}
    func cancel() {}
}

private final class EventLog {
    private(set) var events: [String] = []

    func add(_ event: AcceptEvent) {
        switch event {
        case .paused(let error): events.append("paused \(name(error))")
        case .resumed: events.append("resumed")
        case .skipped(let error): events.append("skipped \(name(error))")
        case .hubEnded(let index): events.append("hub \(index) ended")
        case .refused(_, .noContext): events.append("refused, no context")
        case .refused(_, .full): events.append("refused, full")
        case .refused(_, .peerFull): events.append("refused, peer full")
        case .stopped(let error): events.append("stopped \(name(error))")
        }
    }

    private func name(_ error: any Error) -> String { (error as? NetError)?.errno?.name ?? "\(error)" }
}
