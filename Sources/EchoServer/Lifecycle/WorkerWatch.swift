import Glibc
import GreenNet

/// Notices workers that are stuck: one of their hubs has not turned for the timeout, or they have held the lock of the service's limits for it,
/// for which all other workers wait.
///
/// Time counts only while the supervisor looks: after the whole service was stopped, or the machine suspended, the workers have the whole
/// timeout again.
struct WorkerWatch {
    private let timeout: Duration
    private let interval: Duration
    private let hubsOfWorker: Int
    /// Nil where the workers have no hubs.
    private let gauges: HubGauges?
    private let lockHolder: () -> WorkerLock.Holder?

    private var lastLook = Deadline.now
    /// When each hub was measured, as of the last look, and for how long that has not changed.
    private var hubs: [(measured: Int, silence: Duration)]
    private var holder: (WorkerLock.Holder?, time: Duration) = (nil, .zero)

    /// How often it looks in a `timeout`; at least once a second.
    private static let looks = 4

    init(
        timeout: Duration, hubsOfWorker: Int = 1, _ gauges: HubGauges? = nil,
        lockHolder: @escaping () -> WorkerLock.Holder?
    ) {
        (self.timeout, self.hubsOfWorker, self.gauges, self.lockHolder) = (timeout, hubsOfWorker, gauges, lockHolder)
        interval = min(timeout / WorkerWatch.looks, .seconds(1))
        hubs = Array(repeating: (0, .zero), count: gauges?.hubs ?? 0)
    }

    var nextLook: Deadline { lastLook + interval }

    /// A worker begins in `slot`.
    mutating func began(_ slot: Int) {
        for hub in hubs.indices where hub / hubsOfWorker == slot {
            gauges?.begin(hub: hub)
            hubs[hub].silence = .zero
        }
    }

    /// Returns the slots of stuck workers, and for how long they have been stuck; each slot once in a timeout.  `slotOfProcess` returns the slot of
    /// a process; nil where it is no worker.
    mutating func look(
        at now: Deadline = .now, slotOfProcess: (pid_t) -> Int?
    ) -> [(slot: Int, silence: Duration)] {
        guard now >= nextLook else { return [] }
        // The supervisor may have been stopped itself.
        let elapsed = min(now - lastLook, interval)
        lastLook = now
        lookAtHubs(elapsed)
        lookAtLock(elapsed)
        // All workers that want the lock wait: only its holder is stuck.
        if holder.time > .zero, let process = holder.0?.process, let slot = slotOfProcess(process) {
            return stuckHolder(slot)
        }
        return stuckWorkers()
    }

    private mutating func lookAtHubs(_ elapsed: Duration) {
        for hub in hubs.indices {
            let measured = gauges!.value(of: .time, hub: hub)
            let isSilent = measured == hubs[hub].measured && measured != .max
            hubs[hub] = (measured, isSilent ? hubs[hub].silence + elapsed : .zero)
        }
    }

    private mutating func lookAtLock(_ elapsed: Duration) {
        let now = lockHolder()
        holder = (now, now != nil && now == holder.0 ? holder.time + elapsed : .zero)
    }

    private mutating func stuckHolder(_ slot: Int) -> [(slot: Int, silence: Duration)] {
        guard holder.time >= timeout else { return [] }
        defer {
            holder.time = .zero
            for hub in hubs.indices { hubs[hub].silence = .zero }
        }
        return [(slot, holder.time)]
    }

    private mutating func stuckWorkers() -> [(slot: Int, silence: Duration)] {
        let slots = Set(hubs.indices.filter { hubs[$0].silence >= timeout }.map { $0 / hubsOfWorker })
        return slots.sorted().map { slot in
            let own = (slot * hubsOfWorker)..<((slot + 1) * hubsOfWorker)
            defer { for hub in own { hubs[hub].silence = .zero } }
            return (slot, own.map { hubs[$0].silence }.max()!)
        }
    }
}
