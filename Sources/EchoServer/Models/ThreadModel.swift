import GreenNet

extension ModelKind {
    static let thread = ModelKind("thread", "an OS thread", options: [.poolSize]) { service, settings in
        try ThreadModel(pool: settings.pool, service)
    }
}

/// An OS thread for each connection, made for it or taken from a pool.
final class ThreadModel: ConnectionModel {
    private let service: ConnectionService
    private let pool: ThreadPool?
    /// The connections that are being served.  Touched on the hub's OS thread only.
    private var connections: [ObjectIdentifier: ThreadConnection] = [:]

    /// With a pool, makes its least number of OS threads now, which serve one connection after the other.  Throws where the system refuses one.
    init(pool size: PoolSize?, _ service: ConnectionService) throws(SystemError) {
        self.service = service
        if let size { pool = try ThreadPool(size, onChange: service.poolChanged) } else { pool = nil }
    }

    var socketsBlock: Bool { true }
    var contextCall: NetError.Call { .threadCreate }

    func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = ThreadConnection(descriptor: socket.releaseDescriptor(), peer: peer)
        let report = Report(model: self, server: server, hub: Hub.current.remote)
        let job: @Sendable () -> Void = { [service] in report.ended(connection, connection.run(service)) }
        connections[ObjectIdentifier(connection)] = connection
        do {
            if let pool {
                pool.run(job)
            } else {
                try OSThread.start(stackSize: OSThread.smallStack, blocksSignals: true, job)
            }
        } catch {
            connections[ObjectIdentifier(connection)] = nil
            connection.close()
            throw error
        }
        server.connectionStarted()
    }

    func finishReceiving() { for connection in connections.values { connection.endReceiving() } }
    func cancel() { for connection in connections.values { connection.endBoth() } }

    /// Carries the end of a connection from its OS thread to the hub.
    private struct Report: @unchecked Sendable {
        // Unchecked: the model and the server are touched in the hub only.
        let model: ThreadModel
        let server: StreamServer
        let hub: RemoteHub

        func ended(_ connection: ThreadConnection, _ end: ConnectionEnd) {
            _ = hub.callInHub {
                model.connections[ObjectIdentifier(connection)] = nil
                server.connectionEnded(connection.peer, end)
            }
        }
    }
}
