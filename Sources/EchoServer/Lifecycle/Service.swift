import Glibc
import GreenNet

/// One process that serves: a hub on its main OS thread, further hubs where green threads are to use more cores.
///
/// Which model runs is decided in `makeModel` and known nowhere else.
final class Service {
    private let live: LiveSettings
    private let shared: SharedState
    private let log: ServerLog
    private let sockets: [[ListeningSocket]]
    private let firstRow: Int
    private let serviceState: ServiceState?
    private var hubs: [HubThread] = []

    /// `sockets` are those of each hub.  Without an serviceState, another process speaks for the service.
    init(
        _ live: LiveSettings, _ shared: SharedState, _ log: ServerLog, sockets: [[ListeningSocket]], firstRow: Int,
        _ serviceState: ServiceState?
    ) {
        (self.live, self.shared, self.log) = (live, shared, log)
        (self.sockets, self.firstRow, self.serviceState) = (sockets, firstRow, serviceState)
    }

    /// Returns when a signal has ended the service and the clients are done.
    func run() throws {
        try Hub.prepare(stacks: Housekeeping.stacks(listeners: sockets[0].count))
        // Before anybody is told that it serves: a signal would end it else.  Of several such processes, each hears TERM from the one that
        // supervises them, perhaps more than once.
        let stop = serviceState == nil ? SignalWatcher(SIGTERM) : SignalWatcher(SIGTERM, SIGINT)
        let stateRequests = SignalWatcher(SIGUSR1)
        let reloads = serviceState.map { (serviceState: $0, requests: SignalWatcher(SIGHUP)) }
        let server = try Service.makeServer(live, shared, log, sockets: sockets[0], row: firstRow)
        hubs = try sockets.indices.dropFirst().map { index in
            try HubThread(
                listeners: sockets[index].count,
                measure: { [shared, firstRow] in shared.measure(hub: firstRow + index) }
            ) { [live, shared, log, sockets, firstRow] in
                try Service.makeServer(live, shared, log, sockets: sockets[index], row: firstRow + index)
            }
        }
        server.start()
        _ = shared.measure(hub: firstRow)
        for hub in hubs { try hub.waitUntilUp() }
        serviceState?.serving(on: sockets, hubs)
        spawn(.tellState) { [unowned self] in try tellState(onEach: stateRequests) }
        if let reloads {
            spawn(.reload) { [unowned self] in try reload(reloads.serviceState, onEach: reloads.requests) }
        }
        try drain(server, after: stop)
        shared.gauges?.end(hub: firstRow)
    }

    // MARK: Serving

    /// The model, with what all models have in common around it.  On the hub that it is to serve.
    private static func makeServer(
        _ live: LiveSettings, _ shared: SharedState, _ log: ServerLog, sockets: [ListeningSocket], row: Int
    ) throws -> StreamServer {
        let settings = live.now
        Hub.current.receiveBufferSize = settings.bufferSize
        let counters = CounterRow(counters: shared.counters, row: row, isOwn: settings.model == .green)
        let server = StreamServer(
            sockets.map { Listener($0, ownsPath: false) }, model: try makeModel(live, log, counters),
            admission: AdmissionRow(shared.admission, row: row, of: shared.rows), overflow: settings.overflow)
        log.follow(server, counters)
        return server
    }

    private static func makeModel(
        _ live: LiveSettings, _ log: ServerLog, _ counters: CounterRow
    ) throws -> any ConnectionModel {
        let context = BlockingContext(live, log, counters)
        switch live.now.model {
        case .green:
            return GreenModel(handler: { try context.handler.serve($0) }, onFailure: { log.connectionFailed($1) })
        case .thread: return try ThreadModel(poolSize: live.now.poolSize, context)
        case .process: return ProcessModel(context)
        }
    }

    private func tellState(onEach request: SignalWatcher) throws {
        while true {
            _ = try request.wait()
            serviceState?.state()
            log.dump(Hub.current)
            for hub in hubs { hub.perform(.logDump) { [log] _ in log.dump(Hub.current) } }
        }
    }

    private func reload(_ serviceState: ServiceState, onEach request: SignalWatcher) throws {
        while true {
            _ = try request.wait()
            serviceState.reload()
        }
    }

    // MARK: Stopping

    private func drain(_ server: StreamServer, after stop: SignalWatcher) throws {
        let isDraining = GreenEvent()
        // Begun now: once many clients have come, there may be no memory for it.
        spawn(.endAtOnce) { [serviceState] in
            try isDraining.wait()
            let second = try stop.wait()
            serviceState?.endAtOnce(second) { server.model.cancel() }
        }
        let first = try stop.wait()
        serviceState?.draining(after: first)
        isDraining.set()
        let deadline = Deadline.after(live.now.drainTimeout)
        for hub in hubs { hub.drain(until: deadline) }
        try server.drain(until: deadline)
        for hub in hubs { try hub.ended.wait() }
    }
}
