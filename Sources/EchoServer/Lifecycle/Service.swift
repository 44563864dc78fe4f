import Glibc
import GreenNet

/// One process that serves with hubs: one on the OS thread that calls `run`, and further ones on OS threads of their own.
final class Service {
    private let parts: ServiceParts
    /// As it begins.
    private let places: [OpenPlace]
    private let sockets: [[ListeningSocket]]
    private let firstRow: Int
    /// Nil where another process speaks for the service.
    private let state: ServiceState?
    private var workerHubs: [WorkerHub] = []

    /// `places` have a set of sockets for each hub; the hubs' rows begin at `firstRow`.
    init(_ parts: ServiceParts, _ places: [OpenPlace], hubs: Int, firstRow: Int, _ state: ServiceState?) {
        (self.parts, self.places, self.firstRow, self.state) = (parts, places, firstRow, state)
        sockets = (0..<hubs).map { places.sockets(ofSet: $0) }
    }

    /// Returns when a signal has ended the service and the clients are done.  In a worker, `channel` is the descriptor by which the first process tells of changes of
    /// the listeners; nil where there is none.
    func run(channel: Int32? = nil) throws {
        // Also where a hub could not begin, and others have served already.
        defer { parts.live.records?.stopGathering() }
        try Hub.prepare(stacks: Housekeeping.stacks(listeners: sockets[0].count))
        // Before the service says that it serves: a signal would end the process otherwise.  A supervised process hears TERM from the process
        // that supervises it, perhaps more than once.
        let stop = state == nil ? SignalWatcher(SIGTERM) : SignalWatcher(SIGTERM, SIGINT)
        let stateRequests = SignalWatcher(SIGUSR1)
        let reloads = state.map { (state: $0, requests: SignalWatcher(SIGHUP)) }
        let upgrades = state.map { (state: $0, requests: SignalWatcher(SIGUSR2)) }
        let server = try startHubs()
        let feed = PlaceFeed(server, workerHubs)
        state?.onListenerChange = { change in
            feed.add(change.added.sets)
            feed.remove(change.removed.sets)
        }
        if let channel { follow(channel, feed) }
        state?.serving(workerHubs)
        spawn(.logState) { [unowned self] in try logState(onEach: stateRequests) }
        if let reloads { spawn(.reload) { try Service.reload(reloads.state, onEach: reloads.requests) } }
        if let upgrades {
            spawn(.upgradeRequests) {
                while true {
                    _ = try upgrades.requests.wait()
                    upgrades.state.upgrade()
                }
            }
        }
        try drain(server, after: stop)
        parts.shared.gauges?.end(hub: firstRow)
    }

    // MARK: Serving

    /// Returns when all hubs accept: the server of the current one.
    private func startHubs() throws -> StreamServer {
        let server = try Service.makeServer(parts, sockets[0], row: firstRow)
        workerHubs = try sockets.indices.dropFirst().map { index in
            let row = firstRow + index
            return try WorkerHub(
                listeners: sockets[index].count, measure: { [shared = parts.shared] in shared.measure(hub: row) }
            ) { [parts, sockets] in
                try Service.makeServer(parts, sockets[index], row: row)
            }
        }
        server.start()
        _ = parts.shared.measure(hub: firstRow)
        for hub in workerHubs { try hub.waitUntilUp() }
        return server
    }

    /// The model, with what all models have in common around it.  On the hub that it is to serve.
    private static func makeServer(
        _ parts: ServiceParts, _ sockets: [ListeningSocket], row: Int
    ) throws -> StreamServer {
        let (settings, shared) = (parts.live.now, parts.shared)
        Hub.current.receiveBufferSize = settings.bufferSize
        let counters = CounterRow(counters: shared.counters, row: row, isOwn: settings.model.servesOnHub)
        let service = ConnectionService(
            parts.live, parts.log, counters, ClientAdmission(shared.admission, row: row),
            onHub: settings.model.servesOnHub, passed: shared.counters.passed)
        let admission = AdmissionRow(shared.admission, row: row, of: shared.rows)
        let server = StreamServer(
            sockets.map { Listener($0, ownsPath: false) }, model: try settings.model.make(service, settings),
            admission: admission, overflow: settings.overflow)
        parts.log.follow(
            server, counters, admission, beforeExit: { [live = parts.live] in live.records?.stopGathering() })
        return server
    }

    private func follow(_ channel: Int32, _ feed: PlaceFeed) {
        let channel = Connection(descriptor: channel, peer: .unix(path: ""))
        spawn(.changeListeners) { [places, log = parts.log] in
            do { try feed.follow(channel, places) } catch { if !error.isCancellation { log.failed(error) } }
        }
    }

    private func logState(onEach request: SignalWatcher) throws {
        while true {
            _ = try request.wait()
            state?.state()
            parts.log.dump(Hub.current)
            for hub in workerHubs { hub.perform(.logDump) { [log = parts.log] _ in log.dump(Hub.current) } }
        }
    }

    private static func reload(_ state: ServiceState, onEach request: SignalWatcher) throws {
        while true {
            _ = try request.wait()
            state.reload()
        }
    }

    // MARK: Stopping

    /// The steps are those of `StopSequence`, which `StreamServer.drain` takes on each hub.
    private func drain(_ server: StreamServer, after stop: SignalWatcher) throws {
        let hasBegunToStop = GreenEvent()
        // Begun now: once many clients have come, there may be no memory for it.
        spawn(.endAtOnce) { [state] in
            try hasBegunToStop.wait()
            let second = try stop.wait()
            state?.endAtOnce(second) { server.model.cancel() }
        }
        let first = try stop.wait()
        hasBegunToStop.set()
        if let end = state?.lameDuck(after: first) { try Greenlet.sleep(until: end) }
        state?.draining(after: first)
        // Whatever ends the process from now on, no record waits in it.
        parts.live.records?.stopGathering()
        let deadline = Deadline.after(parts.live.now.drainTimeout)
        for hub in workerHubs { hub.drain(until: deadline) }
        try server.drain(until: deadline)
        for hub in workerHubs { try hub.ended.wait() }
    }
}
