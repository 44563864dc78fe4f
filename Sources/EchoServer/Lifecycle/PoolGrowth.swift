import GreenNet

/// When a pool of processes gets more of them, and when some of them end.
///
/// It looks several times a second.  When all are busy, one more is started, and at each further look at which that is so twice as many as at the one before.
/// Those that were not needed for the idle time end, all but one, which is spare for the next client.
struct PoolGrowth {
    private let size: PoolSize
    private let idleTime: Duration
    private(set) var nextLook = Deadline.now
    /// How many the next step starts.
    private var step = 1
    /// The fewest that were idle at once since `windowBegan`.
    private var fewestIdle = Int.max
    private var windowBegan = Deadline.now

    static let interval = Duration.milliseconds(100)
    /// More forks at a look would leave the supervisor no time for others.
    static let longestStep = 32

    init(_ size: PoolSize, idleTime: Duration = PoolSize.idleTime) { (self.size, self.idleTime) = (size, idleTime) }

    /// How many processes the pool is to have from now on, where it has `running`, of which `busy` have a client.
    mutating func look(running: Int, busy: Int, at now: Deadline = .now) -> Int {
        guard now >= nextLook else { return running }
        nextLook = now + PoolGrowth.interval
        fewestIdle = min(fewestIdle, running - busy)
        if busy >= running { return grow(running) }
        step = 1
        if now - windowBegan < idleTime { return running }
        let unneeded = max(0, fewestIdle - 1)
        (fewestIdle, windowBegan) = (running - busy, now)
        return max(min(running, size.least), running - unneeded)
    }

    private mutating func grow(_ running: Int) -> Int {
        defer { step = min(2 * step, PoolGrowth.longestStep) }
        return min(size.most, running + step)
    }
}
