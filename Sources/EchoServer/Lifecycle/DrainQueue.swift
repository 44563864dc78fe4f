import Glibc
import GreenNet

/// Clients that the kernel had queued when a pool of processes was asked to stop.  Each gets a process of its own as soon as a worker has ended and
/// left its slot, so that there are never more processes than the pool has.
///
/// Belongs to the parent, which accepts these clients because its workers are busy.
final class DrainQueue {
    private var clients = Ring<PendingConnection>()
    private let serve: (Int, consuming PendingConnection) -> Int32
    private let onForkFailure: (SystemError) -> Void

    /// The child in a slot calls `serve` with its slot and its client.
    init(serve: @escaping (Int, consuming PendingConnection) -> Int32, onForkFailure: @escaping (SystemError) -> Void) {
        (self.serve, self.onForkFailure) = (serve, onForkFailure)
    }

    func accept(from sockets: [ListeningSocket]) {
        for socket in sockets { socket.acceptQueued { clients.append($0) } }
    }

    /// Forks the process that serves the next client.  A client for which the fork fails is dropped.  Returns nil where no client is left.
    func serveNext(in slot: Int) -> pid_t? {
        while let client = clients.popFirst() {
            let (number, peer) = (client.descriptor.number, client.peer)
            let inheritance = Fork.Inheritance(
                descriptors: [number], signalAtParentsEnd: ServingSignals.finish,
                oomScoreRaise: Supervisor.oomScoreRaise)
            do throws(SystemError) {
                return try Fork.child(inheritance, prepare: { ServingSignals.installForWorker(listening: []) }) {
                    // The child has a descriptor of its own; `client` closes the parent's.
                    serve(slot, PendingConnection(descriptor: number, peer: peer))
                }
            } catch {
                onForkFailure(error)
            }
        }
        return nil
    }
}
