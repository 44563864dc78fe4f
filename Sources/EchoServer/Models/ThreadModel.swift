import GreenNet

/// An OS thread for each connection, made for it or taken from a pool.
final class ThreadModel: ConnectionModel {
    private let context: BlockingContext
    private let pool: ThreadPool?
    /// Those being served.  Touched on the hub's OS thread only.
    private var clients: [ObjectIdentifier: ThreadClient] = [:]

    /// With `poolSize`, that many OS threads are made now, and used again and again; throws where they can't be had.
    init(poolSize: Int?, _ context: BlockingContext) throws(SystemError) {
        self.context = context
        if let poolSize { pool = try ThreadPool(size: poolSize) } else { pool = nil }
    }

    var socketsBlock: Bool { true }
    var contextCall: NetError.Call { .threadCreate }

    func start(_ socket: consuming Accepted, for server: StreamServer) throws {
        let peer = socket.peer
        let client = ThreadClient(descriptor: socket.releaseDescriptor(), peer: peer)
        let report = Report(model: self, server: server, hub: Hub.current.remote)
        let job: @Sendable () -> Void = { [context] in report.ended(client, client.run(context)) }
        clients[ObjectIdentifier(client)] = client
        do {
            if let pool {
                pool.run(job)
            } else {
                try OSThread.start(stackSize: OSThread.smallStack, blocksSignals: true, job)
            }
        } catch {
            clients[ObjectIdentifier(client)] = nil
            client.close()
            throw error
        }
        server.connectionStarted()
    }

    func finishReceiving() { for client in clients.values { client.endReceiving() } }
    func cancel() { for client in clients.values { client.endBoth() } }

    /// Carries the end of a connection from its OS thread to the hub.
    private struct Report: @unchecked Sendable {
        // Unchecked: the model and the server are touched in the hub only.
        let model: ThreadModel
        let server: StreamServer
        let hub: RemoteHub

        func ended(_ client: ThreadClient, _ end: ConnectionEnd) {
            _ = hub.callInHub {
                model.clients[ObjectIdentifier(client)] = nil
                server.connectionEnded(client.peer, end)
            }
        }
    }
}
