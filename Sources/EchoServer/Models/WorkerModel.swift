import GreenNet

/// The model of each process of a pool: serves each connection before it accepts the next.
final class WorkerModel: ConnectionModel {
    private let service: ConnectionService

    init(_ service: ConnectionService) { self.service = service }

    var socketsBlock: Bool { true }
    var contextCall: NetError.Call { .fork }

    func start(_ socket: consuming PendingConnection, for server: StreamServer) {
        let peer = socket.peer
        let number = socket.releaseDescriptor()
        server.connectionStarted()
        let (connection, end) = ServingSignals.whileServing(number) {
            service.serve(number, peer, request: { ServingSignals.request })
        }
        connection.close()
        server.connectionEnded(peer, end)
    }

    // A signal does it: the process is in `start`.
    func finishReceiving() {}
    func cancel() {}
}
