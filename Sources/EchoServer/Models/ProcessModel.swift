import Glibc
import GreenNet

extension ModelKind {
    /// Without a pool, the process that was started accepts; the processes of a pool accept for themselves, see `WorkerModel`.
    static let process = ModelKind(
        "process", "a process", options: [.poolSize], hasForkServer: true,
        arrangement: { settings in settings.poolSize.map { .poolProcesses($0) } ?? .hubs(1) },
        make: { service, _ in ProcessModel(service) })
}

/// A forked child for each connection.
///
/// The parent keeps to one OS thread: a fork copies only the OS thread that makes it.  The parent collects every child's end and never
/// waits for one child.
///
/// In an installation, children for plain connections come from a `ForkServer`.
final class ProcessModel: ConnectionModel {
    private let service: ConnectionService
    private var children: [pid_t: Child] = [:]
    /// Nil where there is none, or none now.
    private var forkServer: ForkServer?
    /// How long this process forks itself after a fork server has failed.
    private var pause = BackOff(shortest: .seconds(5), longest: ForkServer.provenTime)
    private var restart: Greenlet<Void>?
    private var isCancelled = false
    /// Of children that have ended.
    private var freeNotes: [CrashNote] = []

    private struct Child {
        let peer: SocketAddress
        let server: StreamServer
        /// Nil where the child counts nothing.
        let note: CrashNote?
        /// Whether a fork server has made it.
        let isForeign: Bool
        let begin = ConnectionTally.Begin()
    }

    init(_ service: ConnectionService) {
        self.service = service
        service.prepareForChildren()
        startForkServer()
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
        if let pid = try foreignChild(number) {
            children[pid] = Child(peer: peer, server: server, note: nil, isForeign: true)
        } else {
            let note = service.countsClients ? try freeNotes.popLast() ?? CrashNote() : nil
            children[try child(number, peer, note)] = Child(peer: peer, server: server, note: note, isForeign: false)
        }
        server.connectionStarted()
        // The client would never see the end of the stream otherwise.
        socket.close()
    }

    private func child(_ number: Int32, _ peer: SocketAddress, _ note: CrashNote?) throws(SystemError) -> pid_t {
        let inheritance = Fork.Inheritance(
            descriptors: [number], signalAtParentsEnd: ServingSignals.finish, oomScoreRaise: Supervisor.oomScoreRaise)
        return try Fork.child(inheritance, prepare: { ServingSignals.install(serving: number) }) { [service] in
            // A copy of the service would write to each object's count of references, and so to a page of each, which the child then has for itself.
            if let note { return service.noting(in: note).serveInOwnProcess(number, peer) }
            return service.serveInOwnProcess(number, peer)
        }
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

    /// The last connection has ended.
    func serverEnded() {
        restart?.kill()
        forkServer?.end()
        forkServer = nil
    }

    private func reap() {
        let ended = ChildStatus.ended()
        // Before a place that becomes free has a further client ask it for a child.
        if let forkServer, ended.contains(where: { pid, _ in pid == forkServer.pid }) {
            forkServer.end(isCollected: true)
            forkServerEnded()
        }
        for (pid, status) in ended {
            guard let child = children.removeValue(forKey: pid) else { continue }
            if let note = child.note { settle(note) }
            let wasCancelled = isCancelled && status.signal == SIGKILL
            let end = wasCancelled ? .cancelled : child.isForeign ? end(status, child.peer) : status.connectionEnd
            if status.signal != nil { service.recordLost(pid, child.peer, since: child.begin, end) }
            child.server.connectionEnded(child.peer, end)
        }
    }
}

// MARK: - With a fork server

extension ProcessModel {
    private func startForkServer() {
        guard let path = ForkServer.path, let memory = service.passed else { return }
        do throws(SystemError) {
            forkServer = try ForkServer(path, memory, bufferSize: service.live.bufferSize)
        } catch {
            pauseWithoutForkServer(error)
        }
    }

    /// Nil where this process is to fork.
    private func foreignChild(_ number: Int32) throws(SystemError) -> pid_t? {
        guard let forkServer, let settings = service.bareSettings else { return nil }
        let pid = try forkServer.child(serving: number, settings)
        if !forkServer.isRunning { forkServerEnded() }
        return pid
    }

    private func forkServerEnded() {
        if let forkServer, forkServer.isProven { pause.reset() }
        forkServer = nil
        pauseWithoutForkServer()
    }

    /// `error` is nil where it has run.
    private func pauseWithoutForkServer(_ error: SystemError? = nil) {
        let time = pause.next()
        service.log.withoutForkServer(for: time, error)
        restart = spawn(.restartForkServer) { [unowned self] in
            try Greenlet.sleep(for: time)
            startForkServer()
            if let forkServer { service.log.forkServerStartedAgain(forkServer.pid) }
        }
    }

    /// Logs what the child would have logged.
    private func end(_ status: ChildStatus, _ peer: SocketAddress) -> ConnectionEnd {
        guard let failure = status.failure(with: peer) else { return status.connectionEnd }
        service.log.connectionFailed(failure)
        return ConnectionEnd(failure)
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
