import GreenNet
import Synchronization

/// Measurements of each hub of the service: how late it is, and how many green threads it has.  In memory that forked children share; each hub writes
/// its own row.
final class HubGauges: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    let hubs: Int
    private static let stride = 16  // cells: whole cache lines

    enum Gauge: Int, CaseIterable {
        /// By how many nanoseconds the last timed wake-up was late, and the latest of the last seconds.
        case lag, peakLag
        case greenThreads, cachedStacks
        /// When the hub was measured; `max` once it has ended.
        case time
    }

    private static let interval = Duration.milliseconds(250)
    /// A hub that was not measured for longer than this is stuck.
    static let patience = Duration.seconds(5)
    /// A peak is remembered for at least this long, and at most twice as long.
    private static let memory = Duration.seconds(10)

    init(hubs: Int) throws(StartFailure) {
        self.hubs = hubs
        cells = try SharedMemory.allocate(HubGauges.stride * hubs, of: Atomic<Int>.self)
        for hub in 0..<hubs { begin(hub: hub) }
    }

    /// Begins to watch the hub: it counts as measured now.
    func begin(hub: Int) { set(.time, hub: hub, to: Int(Deadline.now.nanoseconds)) }

    func value(of gauge: Gauge, hub: Int) -> Int {
        cells[hub * HubGauges.stride + gauge.rawValue].load(ordering: .relaxed)
    }

    private func set(_ gauge: Gauge, hub: Int, to value: Int) {
        cells[hub * HubGauges.stride + gauge.rawValue].store(value, ordering: .relaxed)
    }

    /// The hubs that have not been measured for longer than `patience`, and for how long.
    func stuckHubs(_ patience: Duration = HubGauges.patience) -> [(hub: Int, time: Duration)] {
        let now = Deadline.now
        return (0..<hubs).compactMap { hub in
            let time = now - Deadline(nanoseconds: Int64(value(of: .time, hub: hub)))
            return time > patience ? (hub, time) : nil
        }
    }

    /// Measures the current hub on a green thread, which it returns, until that is killed.
    func measure(hub: Int) -> Greenlet<Void> {
        spawn(.measure) { [self] in
            defer { end(hub: hub) }
            var (peak, earlierPeak, turn) = (Duration.zero, Duration.zero, Deadline.after(HubGauges.memory))
            while true {
                let due = Deadline.after(HubGauges.interval)
                try Greenlet.sleep(until: due)
                let now = Deadline.now
                if now > turn { (earlierPeak, peak, turn) = (peak, .zero, now + HubGauges.memory) }
                peak = max(peak, now - due)
                note(hub, now, lag: now - due, peak: max(peak, earlierPeak))
            }
        }
    }

    /// A hub that has ended is not stuck.
    func end(hub: Int) { set(.time, hub: hub, to: .max) }

    private func note(_ hub: Int, _ now: Deadline, lag: Duration, peak: Duration) {
        let statistics = Hub.current.statistics
        set(.lag, hub: hub, to: Int(lag.nanoseconds))
        set(.peakLag, hub: hub, to: Int(peak.nanoseconds))
        set(.greenThreads, hub: hub, to: statistics.greenThreads)
        set(.cachedStacks, hub: hub, to: statistics.cachedStacks)
        set(.time, hub: hub, to: Int(now.nanoseconds))
    }
}
