import GreenNet

/// A pool of forked processes without hubs, each of which serves one client at a time.
struct PoolProcesses {
    private let parts: ServiceParts
    private let size: PoolSize

    init(_ parts: ServiceParts, _ size: PoolSize) { (self.parts, self.size) = (parts, size) }

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
        if size.changes {
            supervisor.growth = PoolGrowth(size)
            supervisor.isBusy = { [counters = parts.shared.counters] in counters.open(row: $0) > 0 }
            supervisor.onChange = { [counters = parts.shared.counters, log = parts.log] size, change in
                counters.add(change, to: .poolExtra, row: 0)
                log.poolChanged(to: size)
            }
        }
        let supervision = Supervision(parts, state, supervisor, rowsOfWorker: 1, gauges: nil)
        try supervision.run(on: [sockets], stopSequence: StopSequence.poolProcesses) { queue.accept(from: sockets) }
    }

    private func supervisor(_ sockets: [ListeningSocket]) -> Supervisor {
        let descriptors = sockets.map(\.descriptor)
        let inheritance = Fork.Inheritance(
            descriptors: descriptors, signalAtParentsEnd: ServingSignals.finish,
            oomScoreRaise: Supervisor.oomScoreRaise)
        let prepare = { ServingSignals.installForWorker(listening: descriptors) }
        return Supervisor(count: size.most, beginning: size.least, inheritance, prepare: prepare) { [parts] slot in
            parts.log.exitStatus { try PoolWorker(parts, row: slot).run(sockets) }
        }
    }
}
