import GreenNet

/// Serves each connection on the spot, before the next is accepted: what a process of a pool does.
final class WorkerModel: ConnectionModel {
    private let context: BlockingContext

    init(_ context: BlockingContext) { self.context = context }

    var socketsBlock: Bool { true }
    var contextCall: NetError.Call { .fork }

    func start(_ socket: consuming Accepted, for server: StreamServer) {
        let peer = socket.peer
        let number = socket.releaseDescriptor()
        server.connectionStarted()
        let (connection, end) = ServingSignals.whileServing(number) {
            context.serve(number, peer, request: { ServingSignals.request })
        }
        connection.close()
        server.connectionEnded(peer, end)
    }

    // A signal does it: the process is busy in `start`.
    func finishReceiving() {}
    func cancel() {}
}
