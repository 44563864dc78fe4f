import Glibc
import GreenNet
import ProgramKit

/// The process that was started, from its start to its end: opens the listeners, and runs the arrangement of hubs and processes that the
/// model asks for.
struct ServerProcess {
    private let parts: ServiceParts
    private let state: ServiceState
    private var listeners: Listeners

    init(_ live: LiveSettings) throws(StartFailure) {
        StandardDescriptors.reserve()
        let variables = try ManagerVariables.take()
        // Before the process opens anything else, which could get one of the numbers.
        let passed = try Activation.sort(Activation.passed(variables, to: getpid()))
        let limit = DescriptorLimit.raise()
        let settings = live.now
        let log = ServerLog(level: { live.logLevel }, format: settings.logFormat)
        log.unknownVariables(OwnVariables.unknown())
        let shared = try SharedState(
            settings, descriptorLimit: limit, hasAdmin: settings.admin != nil || !passed.admin.isEmpty,
            isWatched: Watchdog.interval(variables, of: getpid()) != nil)
        parts = ServiceParts(live: live, shared: shared, log: log)
        state = ServiceState(parts, variables)
        listeners = Listeners(settings, passed, log, profiles: live.profiles)
    }

    /// Until the server watches for them, HUP and USR1 must not end the process.  PIPE never ends it: the log may go into a closed pipe.  The
    /// other signals end the process until then, or end children and report their ends.  To be called before anything else.
    static func arrangeSignals() {
        InheritedSignals.replace(
            withDefault: [SIGTERM, SIGINT, SIGCHLD, SIGALRM], ignoring: [SIGHUP, SIGUSR1, SIGPIPE])
    }

    /// Returns when a signal has ended the service and the clients are done.
    mutating func run() throws {
        try prepareStacks()
        let takeOver = try takeListenersOver()
        let adminSockets = try listeners.openAdmin()
        let admin = makeAdmin(adminSockets)
        admin?.start()
        state.tidyUp = { admin?.close() }
        defer { state.tidyUp() }
        let sockets = try listeners.openService()
        state.tidyUp = {
            for socket in sockets[0] { socket.removePath() }
            admin?.close()
        }
        let datagrams = try openDatagrams(beside: sockets[0])
        state.whenDraining = { datagrams?.close() }
        changeInstances(takeOver, service: sockets, admin: adminSockets) { admin?.close() }
        try serve(on: sockets)
        parts.log.stopped(parts.shared.counters)
    }

    /// `sockets` are a set for each hub that accepts, or one for all processes of a pool.
    private func serve(on sockets: [[ListeningSocket]]) throws {
        switch parts.shared.arrangement {
        case .hubs: try Service(parts, sockets: sockets, firstRow: 0, state).run()
        case .hubProcesses(let count, let hubs):
            try HubProcesses(parts, count: count, hubsEach: hubs).run(sockets, state)
        case .poolProcesses(let most):
            let size = parts.live.now.pool ?? PoolSize(most)
            try PoolProcesses(parts, size).run(sockets[0], state)
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

    /// On the hub of this process, whatever processes serve the connections.  Nil where datagrams are not served.
    private func openDatagrams(beside sockets: [ListeningSocket]) throws(StartFailure) -> DatagramServer? {
        let settings = listeners.settings
        if !settings.services.servesDatagrams && settings.datagramEntries.isEmpty { return nil }
        let server = try DatagramServer(beside: settings.services.servesDatagrams ? sockets : [], parts)
        for address in server.addresses { parts.log.servesDatagrams(at: address) }
        server.start()
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
    private mutating func takeListenersOver() throws(StartFailure) -> TakeOver? {
        guard let path = listeners.settings.takeOver, let takeOver = try TakeOver.ask(at: path) else { return nil }
        (listeners.taken, listeners.takenAdmin) = (takeOver.service, takeOver.admin)
        return takeOver
    }

    /// Once the service accepts, lets the instance before drain, and offers the listeners to the next one.
    private func changeInstances(
        _ takeOver: TakeOver?, service: [[ListeningSocket]], admin: [ListeningSocket], closeAdmin: @escaping () -> Void
    ) {
        guard let path = listeners.settings.takeOver else { return }
        let (state, log) = (state, parts.log)
        // Copies of sockets that were passed in have one queue each.
        let sockets = service[0][0].isInherited ? service[0] : Array(service.joined())
        state.whenServing = {
            spawn(.takeOver) {
                if let takeOver { Self.confirm(takeOver, log) }
                do throws(NetError) {
                    let server = try TakeOverServer(at: path, service: sockets, admin: admin, log) {
                        log.takenOver()
                        // The paths belong to the other instance now.
                        state.tidyUp = {}
                        closeAdmin()
                        kill(getpid(), SIGTERM)
                    }
                    let closeRest = state.whenDraining
                    state.whenDraining = {
                        server.close()
                        closeRest()
                    }
                    try? server.run()
                } catch {
                    log.cannotGiveAway(error)
                }
            }
        }
    }

    private static func confirm(_ takeOver: TakeOver, _ log: ServerLog) {
        do {
            try takeOver.confirm()
            log.tookOver(takeOver.service.count)
        } catch {
            log.notTakenOver(error)
        }
    }
}
