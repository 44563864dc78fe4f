import Glibc
import GreenNet

extension ModelKind {
    /// Without a pool, the process that was started accepts; the processes of a pool accept for themselves, see `WorkerModel`.
    static let process = ModelKind(
        "process", "a process", options: [.poolSize],
        arrangement: { settings in settings.poolSize.map { .poolProcesses($0) } ?? .hubs(1) },
        make: { service, _ in ProcessModel(service) })
}

/// A forked child for each connection.
///
/// The parent keeps to one OS thread: a fork copies only the OS thread that makes it.  The parent collects every child's end and never
/// waits for one child.
final class ProcessModel: ConnectionModel {
    private let service: ConnectionService
    private var children: [pid_t: Child] = [:]
    private var isCancelled = false
    /// Of children that have ended.
    private var freeNotes: [CrashNote] = []

    private struct Child {
        let peer: SocketAddress
        let server: StreamServer
        /// Nil where the child counts nothing.
        let note: CrashNote?
        let begin = ConnectionTally.Begin()
    }

    init(_ service: ConnectionService) {
        self.service = service
        service.prepareForChildren()
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

    func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let (number, peer) = (socket.descriptor.number, socket.peer)
        let inheritance = Fork.Inheritance(
            descriptors: [number], signalAtParentsEnd: ServingSignals.finish, oomScoreRaise: Supervisor.oomScoreRaise)
        let note = service.countsClients ? try freeNotes.popLast() ?? CrashNote() : nil
        let pid = try Fork.child(inheritance, prepare: { ServingSignals.install(serving: number) }) { [service] in
            // A copy of the service would write to each object's count of references, and so to a page of each, which the child then has for itself.
            if let note { return service.noting(in: note).serveInOwnProcess(number, peer) }
            return service.serveInOwnProcess(number, peer)
        }
        // The parent's own descriptor closes with `socket`: the client would never see the end of the stream otherwise.
        children[pid] = Child(peer: peer, server: server, note: note)
        server.connectionStarted()
    }

    private func settle(_ note: CrashNote) {
        service.clients?.settle(note)
        freeNotes.append(note)
    }

    func finishReceiving() { for pid in children.keys { kill(pid, ServingSignals.finish) } }
    func cancel() {
        isCancelled = true
        for pid in children.keys { kill(pid, SIGKILL) }
    }

    private func reap() {
        for (pid, status) in ChildStatus.ended() {
            guard let child = children.removeValue(forKey: pid) else { continue }
            if let note = child.note { settle(note) }
            let wasCancelled = isCancelled && status.signal == SIGKILL
            let end = wasCancelled ? .cancelled : status.connectionEnd
            if status.signal != nil { service.recordLost(pid, child.peer, since: child.begin, end) }
            child.server.connectionEnded(child.peer, end)
        }
    }
}

extension ConnectionService {
    /// Returns the exit status of the process.
    fileprivate func serveInOwnProcess(_ descriptor: Int32, _ peer: SocketAddress) -> Int32 {
        let (connection, end) = serve(descriptor, peer, request: { ServingSignals.request })
        connection.close()
        // Its memory goes with the process, sooner than it could be freed.
        _ = Unmanaged.passRetained(connection)
        return Int32(end.rawValue)
    }
}
