import Glibc

/// A green thread for each connection, on one of several hubs: on the one that has the fewest of them.
///
/// The server's own hub accepts, and hands each connection over as one job.  That way all kinds of listening sockets can be served by several hubs, unix sockets
/// and inherited ones too; limits, refusals and draining are the server's, as on one hub; and connections are spread evenly.  A listening socket of each hub's own
/// (SO_REUSEPORT) would save the job, but the kernel draws the socket from the client's port, so that of a few long connections some hubs get several and
/// others none, and it resets what is in the queue of a socket that closes.
///
/// Belongs to the server's hub, but for `HubSide`.
final class HubsModel: ConnectionModel {
    private let hubs: [ServingHub]
    /// Where the search for the least loaded hub begins: of equals, each has its turn.
    private var next = 0
    private var keeper: HubsKeeper?

    /// Each refers to the other meanwhile.
    fileprivate func keeperEnds() { keeper = nil }

    /// Starts `count` hubs.  Throws where the system has no OS thread, descriptor or memory for one; the others are stopped then.
    init(
        hubs count: Int, stackSize: Int?, handler: @escaping @Sendable (Connection) throws -> Void,
        onFailure: @escaping @Sendable (Connection, any Error) -> Void
    ) throws(SystemError) {
        hubs = try (0..<count).map { index throws(SystemError) in
            ServingHub(
                index, try HubThread(name: "hub \(index)"),
                HubSide(GreenService(stackSize: stackSize, handler: handler, onFailure: onFailure)))
        }
    }

    var socketsBlock: Bool { false }
    /// For want of an OS thread with a hub.
    var contextCall: NetError.Call { .threadCreate }

    func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        try keep(server)
        let peer = socket.peer
        let descriptor = socket.releaseDescriptor()
        while let hub = leastLoaded {
            if hub.begin(descriptor, peer, ConnectionReport(to: server, of: hub)) { return server.connectionStarted() }
            hub.hasEnded = true
            server.hubEnded(hub.index, isLast: leastLoaded == nil)
        }
        SystemCalls.close(descriptor)
        throw SystemError(ESHUTDOWN)
    }

    private var leastLoaded: ServingHub? {
        var found: ServingHub?
        for offset in hubs.indices {
            let hub = hubs[(next + offset) % hubs.count]
            if !hub.hasEnded, hub.connections < found?.connections ?? .max { found = hub }
        }
        if let found { next = found.index + 1 }
        return found
    }

    func beginDraining() { for hub in hubs { hub.call { $0.beginDraining() } } }
    func finishReceiving() { for hub in hubs { hub.call { $0.service.finishReceiving() } } }
    func cancel() { for hub in hubs { hub.call { $0.service.cancel() } } }

    func serverEnded() throws(WaitError) {
        for hub in hubs { hub.thread.remote.stopServing() }
        for hub in hubs { try hub.thread.join() }
    }

    private func keep(_ server: StreamServer) throws {
        if keeper != nil { return }
        let keeper = HubsKeeper(of: server, on: self)
        try Hub.currentThread.scheduler.start(keeper, on: .usual, inheriting: false)
        self.keeper = keeper
    }
}

/// Holds the server until it has ended, and then ends the hubs; also where the server's own hub closes, and kills it.
private final class HubsKeeper: AnyGreenlet {
    private let server: StreamServer
    private let model: HubsModel

    init(of server: StreamServer, on model: HubsModel) { (self.server, self.model) = (server, model) }

    override var name: String? { "hubs of \(server.listeners[0].address)" }

    override func run() {
        defer { model.keeperEnds() }
        // Killed, it throws at once.
        try? server.waitUntilEnded()
        shielded { try? model.serverEnded() }
    }
}

/// One of the hubs, as the server's hub sees it.
private final class ServingHub {
    let index: Int
    let thread: HubThread
    private let side: HubSide
    /// On this hub, or on their way.
    var connections = 0
    /// It was found to take no more connections.
    var hasEnded = false

    init(_ index: Int, _ thread: HubThread, _ side: HubSide) {
        (self.index, self.thread, self.side) = (index, thread, side)
    }

    /// Returns false where the hub has ended.
    func begin(_ descriptor: Int32, _ peer: SocketAddress, _ report: ConnectionReport) -> Bool {
        let isAccepted = thread.remote.begin { [side] in
            side.start(descriptor, peer, report)
        } orIfClosed: {
            SystemCalls.close(descriptor)
            report.ended(peer, .cancelled)
        }
        if isAccepted { connections += 1 }
        return isAccepted
    }

    func call(_ body: @escaping @Sendable (HubSide) -> Void) {
        _ = thread.remote.callInHub { [side] in body(side) }
    }
}

/// One of the hubs, as it sees itself.
// Touched on its own hub only, once it is made; what it refers to is Sendable.
private final class HubSide: @unchecked Sendable {
    let service: GreenService
    private var isDraining = false

    init(_ service: GreenService) { self.service = service }

    func start(_ descriptor: Int32, _ peer: SocketAddress, _ report: ConnectionReport) {
        let connection = Connection(descriptor: descriptor, peer: peer)
        if isDraining { connection.beginDraining() }
        do throws(SpawnError) {
            try service.start(HandedConnection(connection, on: self, report))
        } catch {
            report.refused(peer, error)
        }
    }

    func beginDraining() {
        isDraining = true
        service.beginDraining()
    }
}

/// A connection on another hub than its server's.
private final class HandedConnection: ServedConnection {
    private let side: HubSide
    private let report: ConnectionReport

    init(_ connection: Connection, on side: HubSide, _ report: ConnectionReport) {
        (self.side, self.report) = (side, report)
        super.init(connection)
    }

    override var service: GreenService { side.service }
    override func ended(_ end: ConnectionEnd) { report.ended(connection.peer, end) }
}

/// Carries the end of a connection to the server's hub.
// What it names is touched there only, and lives while the server has connections: its keeper holds it.
private struct ConnectionReport: @unchecked Sendable {
    private unowned(unsafe) let server: StreamServer
    private unowned(unsafe) let hub: ServingHub
    private unowned(unsafe) let listener: Listener
    private let home: RemoteHub

    init(to server: StreamServer, of hub: ServingHub) {
        (self.server, self.hub, listener, home) = (server, hub, server.acceptingListener!, Hub.current.remote)
    }

    func ended(_ peer: SocketAddress, _ end: ConnectionEnd) {
        _ = home.callInHub {
            hub.connections -= 1
            server.connectionEnded(peer, end)
        }
    }

    /// Its hub had no stack for it.
    func refused(_ peer: SocketAddress, _ error: SpawnError) {
        _ = home.callInHub {
            hub.connections -= 1
            server.onAcceptEvent(.refused(peer, .noContext(error)), listener)
            server.connectionEnded(peer, .failed)
        }
    }
}
