import Glibc
import GreenNet

/// What the first process does while forked workers serve: counts and logs what the supervisor reports, and stops the workers in the end.
struct Supervision {
    private let parts: ServiceParts
    private let state: ServiceState
    private let supervisor: Supervisor
    private let rowsOfWorker: Int

    /// Each worker has `rowsOfWorker` rows.  `gauges` are those of the workers' hubs; nil where the workers have none, or no gauges are kept.
    init(
        _ parts: ServiceParts, _ state: ServiceState, _ supervisor: Supervisor, rowsOfWorker: Int, gauges: HubGauges?
    ) {
        (self.parts, self.state, self.supervisor, self.rowsOfWorker) = (parts, state, supervisor, rowsOfWorker)
        followDeaths()
        followRequests()
        watch(gauges)
    }

    /// Returns when a signal has ended the service.  `stopSequence` is given the drain timeout.  Calls `whenDraining` when the workers have been
    /// asked to drain, before it closes the listeners of this process.
    func run(
        on listeners: Listeners, stopSequence: (Duration) -> StopSequence, whenDraining: () -> Void = {}
    ) throws {
        let first = try supervisor.run { state.serving() }
        if let end = state.lameDuck(after: first), let second = try supervisor.run(until: end) { endAtOnce(second) }
        state.draining(after: first)
        let second = try supervisor.stop(stopSequence(parts.live.now.drainTimeout)) {
            whenDraining()
            for place in listeners.places { place.close() }
        }
        if let second { endAtOnce(second) }
    }

    private func endAtOnce(_ signal: Int32) -> Never { state.endAtOnce(signal) { supervisor.send(SIGKILL) } }

    private func followDeaths() {
        let (shared, log, count) = (parts.shared, parts.log, rowsOfWorker)
        func rows(_ slot: Int) -> Range<Int> { (slot * count)..<((slot + 1) * count) }
        supervisor.onDeath = { [unowned supervisor] slot, pid, status in
            // The clients of a worker that is killed in the end had their time to finish.
            let ending = supervisor.hasKilled ? Counter.endedCancelled : .endedCrashed
            for row in rows(slot) { shared.counters.settleDeath(row: row, as: ending) }
            log.died(pid, status)
        }
        supervisor.settle = { slot in rows(slot).allSatisfy { shared.admission.settleDeath(row: $0) } }
        supervisor.onRestart = { slot in shared.counters.add(to: .workersRestarted, row: rows(slot).lowerBound) }
        supervisor.onForkFailure = { log.cannotFork($0) }
    }

    private func followRequests() {
        let forwardsStateRequests = parts.shared.arrangement.forksHubs
        supervisor.onStateRequest = { [unowned supervisor, state] in
            state.state()
            if forwardsStateRequests { supervisor.send(SIGUSR1) }
        }
        supervisor.onReloadRequest = { [state] in state.reload() }
        supervisor.onUpgradeRequest = { [state] in state.upgrade() }
    }

    private func watch(_ gauges: HubGauges?) {
        let (admission, log) = (parts.shared.admission, parts.log)
        supervisor.onStuck = { pid, silence in log.stuck(pid, silence) }
        supervisor.watch = parts.live.now.workerTimeout.map { timeout in
            WorkerWatch(timeout: timeout, hubsOfWorker: rowsOfWorker, gauges) { admission.lockHolder }
        }
    }
}
