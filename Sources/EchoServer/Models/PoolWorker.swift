import GreenNet

/// One process of a pool: accepts one client at a time from the listeners that it shares with the others.  It has no hub; its sockets block.
struct PoolWorker {
    private let server: ([ListeningSocket]) -> StreamServer
    private let counters: CounterRow
    private let admission: AdmissionRow

    init(_ parts: ServiceParts, row: Int) {
        let (live, shared, log) = (parts.live, parts.shared, parts.log)
        let counters = CounterRow(counters: shared.counters, row: row)
        let admission = AdmissionRow(shared.admission, row: row, of: shared.rows)
        (self.counters, self.admission) = (counters, admission)
        server = { sockets in
            let clients = ClientAdmission(shared.admission, row: row)
            let server = StreamServer(
                sockets.map { Listener(offHub: $0, shouldStop: { ServingSignals.shouldStop }) },
                model: WorkerModel(ConnectionService(live, log, counters, clients)),
                admission: admission, overflow: live.now.overflow)
            log.follow(server, counters, admission)
            return server
        }
    }

    /// Returns when a signal has asked the worker to stop, and its client is done.
    func run(_ sockets: [ListeningSocket]) throws {
        ServingSignals.beginWork()
        try server(sockets).acceptHere()
    }

    /// Serves one client that the parent has accepted.  Returns when the connection has ended.
    func run(for client: consuming PendingConnection) {
        ServingSignals.beginWork()
        server([]).serveHere(
            client, unless: { ServingSignals.shouldStop },
            refused: { counters.add(to: admission.counter(of: $0)) })
    }
}
