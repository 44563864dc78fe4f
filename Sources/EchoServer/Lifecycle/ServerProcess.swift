import Glibc
import GreenNet
import ProgramKit

/// The process that was started, from its start to its end: opens the listeners, and runs the arrangement of hubs and processes that the
/// model asks for.
struct ServerProcess {
    private let parts: ServiceParts
    private let state: ServiceState
    private let listeners: Listeners
    /// Nil where no other instance has started this one.
    private let starter: Successor.Starter?
    private let successor: Successor

    init(_ live: LiveSettings) throws(StartFailure) {
        StandardDescriptors.reserve()
        let variables = try ManagerVariables.take()
        (starter, successor) = (try Successor.starter(variables), try Successor(variables))
        // Before the process opens anything else, which could get one of the numbers.
        let passed = try Activation.sort(Activation.passed(variables, to: getpid()))
        let limit = DescriptorLimit.raise()
        let settings = live.now
        let log = ServerLog(level: { live.logLevel }, format: settings.logFormat)
        log.unknownVariables(OwnVariables.unknown())
        let shared = try SharedState(
            settings, descriptorLimit: limit,
            hasAdmin: settings.admin != nil || !passed.admin.isEmpty || starter?.passed.admin ?? false,
            isWatched: Watchdog.interval(variables, of: getpid()) != nil, rules: { live.rules })
        parts = ServiceParts(live: live, shared: shared, log: log)
        listeners = Listeners(settings, passed, log)
        state = ServiceState(parts, listeners, variables)
    }

    /// Until the server watches for them, HUP, USR1 and USR2 must not end the process.  PIPE never ends it: the log may go into a closed pipe.  The
    /// other signals end the process until then, or end children and report their ends.  To be called before anything else.
    static func arrangeSignals() {
        InheritedSignals.replace(
            withDefault: [SIGTERM, SIGINT, SIGCHLD, SIGALRM], ignoring: [SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE])
    }

    /// Returns when a signal has ended the service and the clients are done.
    func run() throws {
        try prepareStacks()
        let takeOver = try takeListenersOver()
        let adminSockets = try listeners.openAdmin()
        let admin = makeAdmin(adminSockets)
        admin?.start()
        // Until it accepts no more, the path of its admin interface is the other instance's.
        let closeAdmin = {
            admin?.close()
            if takeOver?.isConfirmed ?? true { for socket in adminSockets { socket.removePath() } }
        }
        state.tidyUp = closeAdmin
        defer { state.tidyUp() }
        try openService()
        parts.live.begin(listeners.places.profiles(listeners.settings))
        state.tidyUp = { [listeners] in
            listeners.removePaths()
            closeAdmin()
        }
        let datagrams = try openDatagrams()
        state.whenDraining = { [state] in
            state.closeOffer()
            datagrams.close()
        }
        changeInstances(takeOver, datagrams, admin: adminSockets) { admin?.close() }
        try serve()
        parts.log.stopped(parts.shared.counters)
    }

    /// A listener of an earlier start that is not wanted any more may have the port, until the service manager has closed it.
    private func openService() throws {
        let unwanted = try listeners.takeKept()
        state.forget(unwanted)
        var triesLeft = unwanted.isEmpty ? 0 : 20
        while true {
            do throws(StartFailure) {
                try listeners.openService()
                return
            } catch {
                guard error.status == .unavailable, triesLeft > 0 else { throw error }
                triesLeft -= 1
            }
            try Greenlet.sleep(for: .milliseconds(50))
        }
    }

    private func serve() throws {
        switch parts.shared.arrangement {
        case .hubs(let count): try Service(parts, listeners.places, hubs: count, firstRow: 0, state).run()
        case .hubProcesses(let count, let hubs):
            try HubProcesses(parts, count: count, hubsEach: hubs).run(listeners, state)
        case .poolProcesses(let most):
            let size = parts.live.now.pool ?? PoolSize(most)
            try PoolProcesses(parts, size).run(listeners, state)
        }
    }

    private func prepareStacks() throws(StartFailure) {
        let (service, admins) = (
            max(listeners.settings.streamEntries.count, listeners.passed.service.count), listeners.adminCount
        )
        let seats = admins == 0 ? 0 : AdminSeats.count
        do throws(HubFailure) {
            try Hub.prepare(stacks: Housekeeping.stacks(listeners: service + admins, adminSeats: seats))
        } catch {
            throw StartFailure(.system, error.description)
        }
    }

    /// On the hub of this process, whatever processes serve the connections.
    private func openDatagrams() throws(StartFailure) -> DatagramServer {
        let server = DatagramServer(parts, sharesPorts: listeners.settings.takeOver != nil || starter != nil)
        try server.change(to: listeners.settings, listeners.places).commit()
        state.prepareDatagrams = { settings, places throws(StartFailure) in try server.change(to: settings, places) }
        return server
    }

    /// On the hub of this process, whatever processes serve the clients.  Nil where there is no admin interface.
    private func makeAdmin(_ sockets: [ListeningSocket]) -> AdminServer? {
        if sockets.isEmpty { return nil }
        for socket in sockets { parts.log.administered(at: socket.address) }
        let metrics = Metrics(listeners.settings, parts.shared, state, parts.log)
        return AdminServer(sockets, AdminPages(serviceState: state, shared: parts.shared, metrics: metrics))
    }

    // MARK: Other instances

    /// Nil where no other instance serves, or none is to be asked.
    private func takeListenersOver() throws(StartFailure) -> TakeOver? {
        if let starter {
            let takeOver = try TakeOver.ask(starter)
            let (passed, service, admin) = (starter.passed, takeOver.service, takeOver.admin)
            listeners.passed = Activation.Sockets(
                service: passed.service ? service : [], admin: passed.admin ? admin : [], unusual: [])
            (listeners.taken, listeners.takenAdmin) = (passed.service ? [] : service, passed.admin ? [] : admin)
            return takeOver
        }
        guard let path = listeners.settings.takeOver, let takeOver = try askForListeners(at: path) else { return nil }
        (listeners.taken, listeners.takenAdmin) = (takeOver.service, takeOver.admin)
        return takeOver
    }

    /// Where the addresses are in use though no instance answers, one may have taken them over just now, which will answer soon.
    private func askForListeners(at path: String) throws(StartFailure) -> TakeOver? {
        let end = Deadline.after(.seconds(2))
        while true {
            if let takeOver = try TakeOver.ask(at: path) { return takeOver }
            guard !end.hasPassed, listeners.areInUse else { return nil }
            if (try? Greenlet.sleep(for: .milliseconds(20))) == nil { return nil }
        }
    }

    /// Once the service accepts, lets the instance before drain, and offers the listeners to the next one.
    private func changeInstances(
        _ takeOver: TakeOver?, _ datagrams: DatagramServer, admin: [ListeningSocket], closeAdmin: @escaping () -> Void
    ) {
        let (state, listeners) = (state, listeners)
        let handOver = HandOver(
            service: { listeners.queues }, admin: admin, refusal: { state.refusesHandOver }
        ) { process in
            state.handedOver(to: process)
            closeAdmin()
            // Among others, ends the offer at a path, before the other instance makes its own.
            state.closeOffer()
            kill(getpid(), SIGTERM)
        }
        let passed = Successor.Passed(service: listeners.arePassed, admin: !listeners.passed.admin.isEmpty)
        let upgrade = Upgrade(successor, handOver, passed, parts.log)
        state.whenDraining = { [whenDraining = state.whenDraining] in
            if !state.isHandedOver { upgrade.cancel() }
            whenDraining()
        }
        state.startUpgrade = { [live = parts.live, log = parts.log] in
            // The next one would read an end of file there, and serve with the defaults.
            if live.isFromStandardInput {
                return log.notTakenOver(TakeOverProblem("the configuration came from standard input"))
            }
            datagrams.sharePorts()
            upgrade.begin()
        }
        state.whenServing = { [self] in
            spawn(.takeOver) {
                if let takeOver { confirm(takeOver) }
                offer(handOver)
            }
        }
    }

    /// At the path that the settings have for it.
    private func offer(_ handOver: HandOver) {
        guard let path = listeners.settings.takeOver else { return }
        do throws(NetError) {
            let server = try TakeOverServer(at: path, handOver, parts.log)
            state.closeOffer = { server.close() }
            try? server.run()
        } catch {
            parts.log.cannotGiveAway(error)
        }
    }

    private func confirm(_ takeOver: TakeOver) {
        do {
            try takeOver.confirm()
            listeners.confirmTaken()
            if starter != nil { state.tookOver() }
            parts.log.tookOver(takeOver.service.count)
        } catch {
            parts.log.notTakenOver(error)
            // The one that has started this one goes on, or stops the service.
            if starter != nil, error is TakeOver.Refused { kill(getpid(), SIGTERM) }
        }
    }
}
