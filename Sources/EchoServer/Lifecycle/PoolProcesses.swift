import GreenNet

/// A pool of forked processes without hubs, each of which serves one client at a time.
struct PoolProcesses {
    private let parts: ServiceParts
    private let count: Int

    init(_ parts: ServiceParts, count: Int) { (self.parts, self.count) = (parts, count) }

    /// Returns when a signal has ended the service and the clients are done.
    func run(_ sockets: [ListeningSocket], _ state: ServiceState) throws {
        let supervisor = supervisor(sockets)
        // The hub of this process: the workers have no hubs.
        _ = parts.shared.measure(hub: 0)
        let queue = DrainQueue(
            serve: { [parts] slot, client in
                PoolWorker(parts, row: slot).run(for: client)
                return 0
            }, onForkFailure: { [log = parts.log] in log.cannotFork($0) })
        supervisor.takePlace = { queue.serveNext(in: $0) }
        let supervision = Supervision(parts, state, supervisor, rowsOfWorker: 1, gauges: nil)
        try supervision.run(on: [sockets], stopSequence: StopSequence.poolProcesses) { queue.accept(from: sockets) }
    }

    private func supervisor(_ sockets: [ListeningSocket]) -> Supervisor {
        let descriptors = sockets.map(\.descriptor)
        let inheritance = Fork.Inheritance(
            descriptors: descriptors, signalAtParentsEnd: ServingSignals.finish,
            oomScoreRaise: Supervisor.oomScoreRaise)
        let prepare = { ServingSignals.installForWorker(listening: descriptors) }
        return Supervisor(count: count, inheritance, prepare: prepare) { [parts] slot in
            parts.log.exitStatus { try PoolWorker(parts, row: slot).run(sockets) }
        }
    }
}
