import Glibc
import GreenNet

/// Clients that the kernel had queued when a pool was told to stop.  Each gets a process, as soon as a worker has ended and left its place:
/// there are never more processes than the pool has.
///
/// Belongs to the parent, which accepts them since its workers are busy.
final class LastClients {
    private var waiting: ArraySlice<StreamServer.Waiting> = []
    private let work: (Int, StreamServer.Waiting) -> Int32
    private let onForkFailure: (SystemError) -> Void

    /// `work` is what the child in a slot does for its client.
    init(work: @escaping (Int, StreamServer.Waiting) -> Int32, onForkFailure: @escaping (SystemError) -> Void) {
        (self.work, self.onForkFailure) = (work, onForkFailure)
    }

    func accept(from sockets: [ListeningSocket]) { for socket in sockets { waiting += socket.acceptQueued() } }

    /// The process that serves the next one; nil where nobody waits, or it can't be forked: then that client is let go.
    func serveNext(in slot: Int) -> pid_t? {
        while let client = waiting.popFirst() {
            defer { client.close() }
            let inheritance = Fork.Inheritance(
                descriptors: [client.descriptor], signalAtParentsEnd: ServingSignals.finish,
                oomScoreRaise: Supervisor.oomScoreRaise)
            do throws(SystemError) {
                return try Fork.child(inheritance, prepare: { ServingSignals.installForWorker(listening: []) }) {
                    work(slot, client)
                }
            } catch {
                onForkFailure(error)
            }
        }
        return nil
    }
}
