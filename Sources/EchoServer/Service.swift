import Glibc
import GreenNet

/// One process that serves: a hub on its main OS thread, further hubs where green threads are to use more cores.
///
/// Which model runs is decided in `makeModel` and known nowhere else.
final class Service {
    private let settings: Settings
    private let shared: SharedState
    private let log: ServerLog
    private let sockets: [ListeningSocket]
    private let firstRow: Int
    private let announces: Bool
    private var hubs: [HubThread] = []

    init(
        _ settings: Settings, _ shared: SharedState, _ log: ServerLog, sockets: [ListeningSocket], firstRow: Int,
        announces: Bool
    ) {
        (self.settings, self.shared, self.log) = (settings, shared, log)
        (self.sockets, self.firstRow, self.announces) = (sockets, firstRow, announces)
    }

    /// Returns when a signal has ended the service and the clients are done.
    func run() throws {
        // Of several such processes, each hears TERM from the one that supervises them, perhaps more than once.
        let stop = announces ? SignalWatcher(SIGTERM, SIGINT) : SignalWatcher(SIGTERM)
        let stateRequests = SignalWatcher(SIGUSR1)
        let server = try Service.makeServer(settings, shared, log, socket: sockets[0], row: firstRow)
        hubs = try sockets.indices.dropFirst().map { index in
            try HubThread { [settings, shared, log, sockets, firstRow] in
                try Service.makeServer(settings, shared, log, socket: sockets[index], row: firstRow + index)
            }
        }
        server.start()
        for hub in hubs { try hub.isUp.wait() }
        if announces { log.listening(on: sockets[0].address, settings, shared) }
        spawn(name: "state on USR1") { [unowned self] in try tellState(onEach: stateRequests) }
        try drain(server, after: stop)
    }

    // MARK: Serving

    /// The model, with what all models have in common around it.  On the hub that it is to serve.
    private static func makeServer(
        _ settings: Settings, _ shared: SharedState, _ log: ServerLog, socket: ListeningSocket, row: Int
    ) throws -> StreamServer {
        Hub.current.receiveBufferSize = settings.bufferSize
        let counters = CounterRow(counters: shared.counters, row: row)
        let server = StreamServer(
            [Listener(socket, ownsPath: false)], model: try makeModel(settings, log, counters),
            admission: AdmissionRow(shared.admission, row: row, of: shared.rows), overflow: settings.overflow)
        log.follow(server, counters)
        return server
    }

    private static func makeModel(
        _ settings: Settings, _ log: ServerLog, _ counters: CounterRow
    ) throws -> any ConnectionModel {
        let context = BlockingContext(settings, log, counters)
        switch settings.model {
        case .green: return GreenModel(handler: context.handler.serve, onFailure: { log.connectionFailed($1) })
        case .thread: return try ThreadModel(poolSize: settings.poolSize, context)
        case .process: return ProcessModel(context)
        }
    }

    private func tellState(onEach request: SignalWatcher) throws {
        while true {
            _ = try request.wait()
            if announces { log.state(shared.counters) }
            log.dump(Hub.current)
            for hub in hubs { hub.perform { [log] _ in log.dump(Hub.current) } }
        }
    }

    // MARK: Stopping

    private func drain(_ server: StreamServer, after stop: SignalWatcher) throws {
        let first = try stop.wait()
        spawn(name: "end on a second signal") { [log, announces] in
            let second = try stop.wait()
            guard announces else { return }
            log.endingAtOnce(second)
            server.model.cancel()
            exit(128 + second)
        }
        if announces { log.draining(shared.counters, signal: first, within: settings.drainTimeout) }
        let deadline = Deadline.after(settings.drainTimeout)
        for hub in hubs { hub.perform { server in try? server.drain(until: deadline) } }
        try server.drain(until: deadline)
        for hub in hubs { try hub.ended.wait() }
    }
}

extension BlockingContext {
    init(_ settings: Settings, _ log: ServerLog, _ counters: CounterRow) {
        handler = EchoHandler(
            transform: settings.transform, idleTimeout: settings.idleTimeout, writeTimeout: settings.writeTimeout,
            counters: counters, onReceive: log.payloadTracer)
        receiveBufferSize = settings.bufferSize
        onFailure = { log.connectionFailed($0) }
    }
}
