import Glibc
import GreenNet

/// Clients that the kernel had queued when a pool of processes was asked to stop.  Each gets a process of its own as soon as a worker has ended and
/// left its slot, so that there are never more processes than the pool has.
///
/// Belongs to the parent, which accepts these clients because its workers are busy.
final class DrainQueue {
    private var clients: ArraySlice<StreamServer.Waiting> = []
    private let serve: (Int, StreamServer.Waiting) -> Int32
    private let onForkFailure: (SystemError) -> Void

    /// The child in a slot calls `serve` with its slot and its client.
    init(serve: @escaping (Int, StreamServer.Waiting) -> Int32, onForkFailure: @escaping (SystemError) -> Void) {
        (self.serve, self.onForkFailure) = (serve, onForkFailure)
    }

    func accept(from sockets: [ListeningSocket]) { for socket in sockets { clients += socket.acceptQueued() } }

    /// Forks the process that serves the next client.  A client for which the fork fails is dropped.  Returns nil where no client is left.
    func serveNext(in slot: Int) -> pid_t? {
        while let client = clients.popFirst() {
            defer { client.close() }
            let inheritance = Fork.Inheritance(
                descriptors: [client.descriptor], signalAtParentsEnd: ServingSignals.finish,
                oomScoreRaise: Supervisor.oomScoreRaise)
            do throws(SystemError) {
                return try Fork.child(inheritance, prepare: { ServingSignals.installForWorker(listening: []) }) {
                    serve(slot, client)
                }
            } catch {
                onForkFailure(error)
            }
        }
        return nil
    }
}
