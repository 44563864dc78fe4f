import GreenNet

/// A pool of forked processes without hubs, each of which serves one client at a time.
struct PoolProcesses {
    private let parts: ServiceParts
    private let size: PoolSize

    init(_ parts: ServiceParts, _ size: PoolSize) { (self.parts, self.size) = (parts, size) }

    /// Returns when a signal has ended the service and the clients are done.
    func run(_ listeners: Listeners, _ state: ServiceState) throws {
        let supervisor = supervisor(listeners)
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
        state.onListenerChange = { change in PoolProcesses.apply(change, supervisor, queue) }
        let supervision = Supervision(parts, state, supervisor, rowsOfWorker: 1, gauges: nil)
        try supervision.run(on: listeners, stopSequence: StopSequence.poolProcesses) {
            queue.accept(from: listeners.sets[0])
        }
    }

    /// A worker waits for clients without a hub, so it can't be told of other listeners: it ends after its client, and the next one has them.
    private static func apply(_ change: ListenerChange, _ supervisor: Supervisor, _ queue: DrainQueue) {
        guard !change.isEmpty else { return }
        queue.accept(from: change.removed.sockets(ofSet: 0))
        for place in change.removed { place.close() }
        supervisor.replaceAll()
    }

    private func supervisor(_ listeners: Listeners) -> Supervisor {
        let prepare = { ServingSignals.installForWorker(listening: listeners.sets[0].map(\.descriptor)) }
        let supervisor = Supervisor(count: size.most, beginning: size.least, prepare: prepare) { [parts] slot in
            parts.log.exitStatus { try PoolWorker(parts, row: slot).run(listeners.sets[0]) }
        }
        supervisor.inherit = { _ in
            Fork.Inheritance(
                descriptors: listeners.sets[0].map(\.descriptor), signalAtParentsEnd: ServingSignals.finish,
                oomScoreRaise: Supervisor.oomScoreRaise)
        }
        return supervisor
    }
}
