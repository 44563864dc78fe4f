import Glibc
import GreenNet
import Logging
import ProgramKit
import Synchronization

/// The server from its start to its end: opens the listeners, and runs the model's arrangement of hubs, OS threads and processes.
struct Server {
    /// As it was started.
    private let settings: Settings
    private let live: LiveSettings
    private let log: ServerLog
    private let shared: SharedState
    private let serviceState: ServiceState
    /// What a service manager has passed in.
    private let passed: Activation.Sockets

    init(_ live: LiveSettings) throws(StartFailure) {
        StandardDescriptors.reserve()
        let variables = try ManagerVariables.take()
        // Before anything else is opened, and could be taken for one of them.
        passed = try Activation.sort(Activation.passed(variables, to: getpid()))
        let limit = DescriptorLimit.raise()
        self.live = live
        settings = live.now
        log = ServerLog(level: settings.logLevel, format: settings.logFormat)
        log.unknownVariables(OwnVariables.unknown())
        shared = try SharedState(
            settings, descriptorLimit: limit, hasAdmin: settings.admin != nil || !passed.admin.isEmpty,
            isWatched: Watchdog.interval(variables, of: getpid()) != nil)
        serviceState = ServiceState(live, shared, log, variables)
    }

    /// HUP and USR1 must not end the process until the server watches for them, and a log that goes into a closed pipe never.  The others
    /// end it until then, or are what children are ended with and heard of by.  To be called before anything else.
    static func arrangeSignals() {
        InheritedSignals.replace(
            withDefault: [SIGTERM, SIGINT, SIGCHLD, SIGALRM], ignoring: [SIGHUP, SIGUSR1, SIGPIPE])
    }

    /// Returns when a signal has ended the service and the clients are done.
    func run() throws {
        do throws(HubFailure) {
            let admins = max(passed.admin.count, settings.admin == nil ? 0 : 1)
            try Hub.prepare(
                stacks: Housekeeping.stacks(
                    listeners: max(1, passed.service.count) + admins, adminSeats: admins == 0 ? 0 : AdminSeats.count))
        } catch {
            throw StartFailure(.system, error.description)
        }
        let admin = try openAdmin()
        admin?.start()
        serviceState.tidyUp = { admin?.close() }
        defer { serviceState.tidyUp() }
        let sockets = try openSockets()
        serviceState.tidyUp = {
            for socket in sockets[0] { socket.removePath() }
            admin?.close()
        }
        switch (settings.model, settings.processes ?? settings.poolSize) {
        case (.green, let processes?): try superviseHubs(processes, sockets)
        case (.process, let workers?): try superviseWorkers(workers, sockets[0])
        case (.green, nil), (.thread, _), (.process, nil):
            // A hub on the main OS thread, which accepts, and for green threads further hubs.
            try Service(live, shared, log, sockets: sockets, firstRow: 0, serviceState).run()
        }
        log.stopped(shared.counters)
    }

    // MARK: Arrangements

    /// Processes of `--workers` hubs each.
    private func superviseHubs(_ processes: Int, _ sockets: [[ListeningSocket]]) throws {
        let hubs = settings.workers
        let inheritance = Fork.Inheritance(
            descriptors: sockets.joined().map(\.descriptor), signalAtParentsEnd: SIGTERM, keepsSignalsBlocked: true,
            oomScoreRaise: Supervisor.oomScoreRaise)
        let supervisor = Supervisor(count: processes, inheritance, prepare: Server.leaveSignalsToTheParent) { slot in
            let own = (slot * hubs)..<((slot + 1) * hubs)
            for index in sockets.indices where !own.contains(index) { for socket in sockets[index] { socket.close() } }
            let isWell = Atomic(false)
            // On an OS thread that was made after the fork: the runtime's locks know the others by a number that they cached, and the
            // forked one has its parent's.  The first contended lock would be held for ever.
            do throws(SystemError) {
                let thread = try OSThread.start(named: "hub", stackSize: OSThread.smallStack, blocksSignals: true) {
                    [live, shared, log] in
                    let code = log.exitCode {
                        try Service(
                            live, shared, log, sockets: Array(sockets[own]), firstRow: own.lowerBound, nil
                        ).run()
                    }
                    isWell.store(code == 0, ordering: .relaxed)
                }
                thread.join()
            } catch {
                log.failed(error)
            }
            return isWell.load(ordering: .relaxed) ? 0 : ExitStatus.system.rawValue
        }
        follow(supervisor, rowsOfWorker: hubs, shared.gauges)
        try run(supervisor, sockets, finish: nil)
    }

    /// A Ctrl-C, say, reaches all of a terminal's processes; the parent says what it means.
    private static func leaveSignalsToTheParent() { for number in [SIGINT, SIGHUP] { signal(number, SIG_IGN) } }

    /// Processes that serve one client at a time.
    private func superviseWorkers(_ workers: Int, _ sockets: [ListeningSocket]) throws {
        let inheritance = Fork.Inheritance(
            descriptors: sockets.map(\.descriptor), signalAtParentsEnd: ServingSignals.finish,
            oomScoreRaise: Supervisor.oomScoreRaise)
        _ = shared.measure(hub: 0)
        let prepare = { ServingSignals.installForWorker(listening: sockets.map(\.descriptor)) }
        let supervisor = Supervisor(count: workers, inheritance, prepare: prepare) { slot in
            log.exitCode { try PoolWorker(live, shared, log, row: slot).run(sockets) }
        }
        follow(supervisor, rowsOfWorker: 1, nil)
        let last = LastClients(
            work: { slot, client in
                PoolWorker(live, shared, log, row: slot).run(for: client)
                return 0
            }, onForkFailure: { log.cannotFork($0) })
        supervisor.takePlace = { last.serveNext(in: $0) }
        try run(supervisor, [sockets], finish: ServingSignals.finish) { last.accept(from: sockets) }
    }

    /// `whenTold` is called when the workers have been told to stop, and before the parent closes its listeners.
    private func run(
        _ supervisor: Supervisor, _ sockets: [[ListeningSocket]], finish: Int32?, whenTold: () -> Void = {}
    ) throws {
        supervisor.onForkFailure = { log.cannotFork($0) }
        supervisor.onRestart = { slot in shared.counters.add(to: .workersRestarted, row: slot) }
        supervisor.onStateRequest = {
            serviceState.state()
            if settings.model == .green { supervisor.send(SIGUSR1) }
        }
        supervisor.onReloadRequest = { serviceState.reload() }
        let signal = try supervisor.run { serviceState.serving(on: sockets) }
        serviceState.draining(after: signal)
        let second = try supervisor.stop(within: live.now.drainTimeout, finish: finish) {
            whenTold()
            for socket in sockets.joined() { socket.close() }
        }
        guard let second else { return }
        serviceState.endAtOnce(second) { supervisor.send(SIGKILL) }
    }

    /// Each worker has so many rows, and `gauges` where it has hubs.
    private func follow(_ supervisor: Supervisor, rowsOfWorker count: Int, _ gauges: HubGauges?) {
        func rows(_ slot: Int) -> Range<Int> { (slot * count)..<((slot + 1) * count) }
        supervisor.onDeath = { [unowned supervisor] slot, pid, status in
            // Those that are killed in the end had their time to finish.
            let ending = supervisor.hasKilled ? Counter.endedCancelled : .endedCrashed
            for row in rows(slot) { shared.counters.settleDeath(row: row, as: ending) }
            log.died(pid, status)
        }
        supervisor.settle = { slot in rows(slot).allSatisfy { shared.admission.settleDeath(row: $0) } }
        supervisor.onStuck = { pid, silence in log.stuck(pid, silence) }
        supervisor.watch = settings.workerTimeout.map { timeout in
            WorkerWatch(timeout: timeout, hubsOfWorker: count, gauges) { shared.admission.lockHolder }
        }
    }

    // MARK: Listening

    /// On the hub of this process, whatever serves the clients.  Nil where there is none.
    private func openAdmin() throws(StartFailure) -> AdminServer? {
        let sockets = try adminSockets()
        if sockets.isEmpty { return nil }
        for socket in sockets { log.administered(at: socket.address) }
        return AdminServer(
            sockets,
            AdminPages(
                serviceState: serviceState, shared: shared, metrics: Metrics(settings, shared, serviceState, log)))
    }

    /// Those that were passed in, or else the one that `--admin` wants.
    private func adminSockets() throws(StartFailure) -> [ListeningSocket] {
        if !passed.admin.isEmpty {
            if let wanted = settings.admin { log.adminIgnored(wanted) }
            return passed.admin
        }
        guard let wanted = settings.admin else { return [] }
        do throws(StartFailure) {
            return [try openAdmin(on: wanted)]
        } catch {
            // Where it walls the service in, an address may be out of reach for good.  To end would be no help: the manager would start the
            // service again for the clients who wait at its sockets, and they would wait for ever.
            if passed.service.isEmpty { throw error }
            log.withoutAdmin(wanted, error)
            return []
        }
    }

    private func openAdmin(on wanted: Endpoint) throws(StartFailure) -> ListeningSocket {
        let address = try wanted.listenAddress()
        let permissions = try settings.adminAccess.permissions("admin")
        do throws(NetError) {
            return try ListeningSocket(
                on: address, backlog: AdminServer.backlog, freebind: settings.freebind, permissions: permissions)
        } catch {
            throw StartFailure(error)
        }
    }

    /// The sockets of each hub: those that were passed in, or else one of its own.
    private func openSockets() throws(StartFailure) -> [[ListeningSocket]] {
        let hubs = settings.workers * (settings.processes ?? 1)
        if !passed.service.isEmpty && settings.namesAddress { log.addressIgnored() }
        for socket in passed.unusual { log.servesUnusual(socket.name, at: socket.address) }
        let isOwn = passed.service.isEmpty
        let address = isOwn ? try settings.endpoint.listenAddress() : nil
        let permissions = isOwn ? try settings.unixSocketAccess.permissions("unix-socket") : UnixPermissions()
        do throws(NetError) {
            guard let address else { return try share(passed.service, among: hubs) }
            return try openSockets(on: address, permissions, for: hubs)
        } catch {
            throw StartFailure(error)
        }
    }

    /// Those of one port share it, and the kernel spreads the connections over them.
    private func openSockets(
        on address: SocketAddress, _ permissions: UnixPermissions, for hubs: Int
    ) throws(NetError) -> [[ListeningSocket]] {
        let (backlog, freebind) = (settings.backlog, settings.freebind)
        let first = try ListeningSocket(on: address, backlog: backlog, freebind: freebind, permissions: permissions)
        if hubs == 1 || settings.unixSocket != nil { return try share([first], among: hubs) }
        // Only the first attempt can tell that another program has the port.
        first.close()
        return try (0..<hubs).map { _ throws(NetError) in
            [try ListeningSocket(on: first.address, backlog: backlog, sharesPort: true, freebind: freebind)]
        }
    }

    /// Whichever hub is first takes the connection.
    private func share(_ sockets: [ListeningSocket], among hubs: Int) throws(NetError) -> [[ListeningSocket]] {
        var all = [sockets]
        for _ in 1..<hubs { all.append(try sockets.map { socket throws(NetError) in try socket.duplicate() }) }
        return all
    }
}

extension ServerLog {
    /// In a child: what it threw is told by itself, since nobody else hears of it.
    fileprivate func exitCode(_ body: () throws -> Void) -> Int32 {
        do {
            try body()
            return 0
        } catch {
            failed(error)
            return ExitStatus.system.rawValue
        }
    }
}
