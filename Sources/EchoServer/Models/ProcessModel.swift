import Glibc
import GreenNet

/// A forked child for each connection.
///
/// The parent keeps to one OS thread, or fork would be unsafe; it reaps every child and never waits for one.
final class ProcessModel: ConnectionModel {
    private let context: BlockingContext
    private var children: [pid_t: Child] = [:]
    private var isCancelled = false

    private struct Child {
        let peer: SocketAddress
        let server: StreamServer
    }

    init(_ context: BlockingContext) {
        self.context = context
        let childEnded = SignalWatcher(SIGCHLD)
        spawn(.reap) { [unowned self] in
            while true {
                _ = try childEnded.wait()
                reap()
            }
        }
    }

    var socketsBlock: Bool { true }
    var contextCall: NetError.Call { .fork }

    func start(_ socket: consuming Accepted, for server: StreamServer) throws {
        let (number, peer) = (socket.descriptor.number, socket.peer)
        let inheritance = Fork.Inheritance(
            descriptors: [number], signalAtParentsEnd: ServingSignals.finish, oomScoreRaise: Supervisor.oomScoreRaise)
        let pid = try Fork.child(inheritance, prepare: { ServingSignals.install(serving: number) }) { [context] in
            Int32(context.serve(number, peer, request: { ServingSignals.request }).1.rawValue)
        }
        // The parent's own descriptor is closed when `socket` goes: the client would never see the end otherwise.
        children[pid] = Child(peer: peer, server: server)
        server.connectionStarted()
    }

    func finishReceiving() { for pid in children.keys { kill(pid, ServingSignals.finish) } }
    func cancel() {
        isCancelled = true
        for pid in children.keys { kill(pid, SIGKILL) }
    }

    private func reap() {
        for (pid, status) in ChildStatus.ended() {
            guard let child = children.removeValue(forKey: pid) else { continue }
            let wasCancelled = isCancelled && status.signal == SIGKILL
            child.server.connectionEnded(child.peer, wasCancelled ? .cancelled : status.connectionEnd)
        }
    }
}
