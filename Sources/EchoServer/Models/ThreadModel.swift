import GreenNet

extension ModelKind {
    static let thread = ModelKind(
        "thread", "an OS thread", options: [.poolSize], descriptors: ListenerSet.descriptors
    ) { service, settings in
        try ThreadModel(pool: settings.pool, service)
    }
}

/// An OS thread for each connection.  One whose client has ended serves a next one.
///
/// The OS threads accept by themselves: a client that comes wakes one of those that wait, and no other OS thread takes part.  The accept loop of the hub has its
/// turn where that does not do: there is no place, no further OS thread, or no descriptor.  It accepts a client then, or pauses, and hands the listener back.
final class ThreadModel: ConnectionModel {
    private let service: ThreadService
    private let intake: ThreadIntake
    private let pool: ThreadPool
    /// Touched on the hub's OS thread only.
    private var lent: [ObjectIdentifier: LentListener] = [:]
    private var reportsEnds = false
    /// The connections that the hub has accepted.  Touched on its OS thread only.
    private var started: [ObjectIdentifier: ThreadConnection] = [:]

    /// How many OS threads wait for clients, at most, and for how long.
    static let mostIdle = 128
    static let idleTime = Duration.seconds(5)

    /// With a pool, makes its least number of OS threads now.  Throws where the system refuses one, or a descriptor.
    convenience init(pool size: PoolSize?, _ service: ConnectionService) throws(SystemError) {
        let threads = ThreadService(service)
        let intake = ThreadIntake(threads)
        let pool =
            if let size {
                try ThreadPool(.sized(size), clients: intake, onChange: service.poolChanged)
            } else {
                try ThreadPool(
                    .unlimited(keeping: ThreadModel.mostIdle), idleTime: ThreadModel.idleTime, clients: intake)
            }
        self.init(threads, intake, pool)
    }

    init(_ service: ThreadService, _ intake: ThreadIntake, _ pool: ThreadPool) {
        (self.service, self.intake, self.pool) = (service, intake, pool)
    }

    var socketsBlock: Bool { true }
    var contextCall: NetError.Call { .threadCreate }
    /// One, and then the OS threads accept again.
    var acceptsAtOnce: Int { 1 }
    var ownConnections: Int { intake.openConnections }

    // MARK: The OS threads accept

    func lend(_ listener: Listener, by server: StreamServer) throws(NetError) {
        guard intake.hasPlace else { return intake.setHubWaits(true) }
        let loan = intake.add(listener.listeningSocket, in: pool.listeners)
        lent[ObjectIdentifier(listener)] = loan
        defer { takeBack(listener) }
        // Before a client can come whose end would not be told.
        if !reportsEnds { reportEnds(to: server) }
        do throws(SystemError) { try loan.lend() } catch { return }
        // Only now: where the last OS thread that waits is busy from now on, it leaves this listener too.
        guard pool.keepOneWaiting() else { return }
        noteHubWaits(server)
        try loan.untilLeft()
    }

    func takeBack(_ listener: Listener) {
        guard let loan = lent.removeValue(forKey: ObjectIdentifier(listener)) else { return }
        intake.setHubWaits(true)
        intake.remove(loan)
    }

    private func noteHubWaits(_ server: StreamServer) {
        intake.setHubWaits(lent.count < server.listeners.count || server.hasPending)
    }

    private func reportEnds(to server: StreamServer) {
        reportsEnds = true
        let report = Report(model: self, server: server, hub: Hub.current.remote)
        intake.onEnd { report.ownEnded() }
    }

    func serverEnded() {
        pool.end()
        intake.onEnd(nil)
    }

    // MARK: The hub accepts

    func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = ThreadConnection(descriptor: socket.releaseDescriptor(), peer: peer)
        let report = Report(
            model: self, server: server, hub: Hub.current.remote, listener: server.acceptingListener)
        started[ObjectIdentifier(connection)] = connection
        do {
            try pool.run { [service] in
                report.ended(connection, connection.run(service))
            } refuse: {
                report.refused(connection, $0)
            }
        } catch {
            started[ObjectIdentifier(connection)] = nil
            connection.close()
            throw error
        }
        server.connectionStarted()
    }

    func finishReceiving() { for connection in connections { connection.endReceiving() } }
    func cancel() { for connection in connections { connection.endBoth() } }

    private var connections: [ThreadConnection] { pool.all.compactMap(\.connection) + started.values }

    /// Carries the end of a connection from its OS thread to the hub.
    private struct Report: @unchecked Sendable {
        // Unchecked: the model and the server are touched in the hub only.
        let model: ThreadModel
        let server: StreamServer
        let hub: RemoteHub
        /// Nil where it reports several connections.
        var listener: Listener?

        func ended(_ connection: ThreadConnection, _ end: ConnectionEnd) {
            _ = hub.callInHub {
                model.started[ObjectIdentifier(connection)] = nil
                server.connectionEnded(connection.peer, end)
            }
        }

        /// It got no OS thread after all.
        func refused(_ connection: ThreadConnection, _ error: SystemError) {
            _ = hub.callInHub {
                model.started[ObjectIdentifier(connection)] = nil
                // Before the client sees the end.
                if let listener { server.onAcceptEvent(.refused(connection.peer, .noContext(error)), listener) }
                connection.close()
                server.connectionEnded(connection.peer, .failed)
            }
        }

        func ownEnded() {
            _ = hub.callInHub {
                server.ownConnectionEnded()
                // A listener that was closed is not waited for any more.
                if server.isAccepting { model.noteHubWaits(server) }
            }
        }
    }
}
