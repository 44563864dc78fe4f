/// What a hub for tests has in place of time and of the order of things.
struct VirtualTime {
    /// Picks the next of those that are ready; nil: first come, first served.
    var random: SplitMix?

    /// What a pass of the scheduler takes that leaves somebody ready, so that an endless loop which only gives way runs into its time limit too.
    static let passLength: Int64 = 1000
    static let start: Int64 = 1_000_000_000
}

extension Hub {
    /// Makes the hub of this OS thread, with a virtual clock: for tests.
    ///
    /// Time on it passes only while all its green threads wait, and then jumps to the next deadline, so that hours take microseconds.  `Deadline.now` is that
    /// time, on this OS thread, until the hub closes.  With a `seed`, whoever runs next is drawn from those that are ready; the same seed gives the
    /// same run.  Descriptors and other OS threads are as real as ever, and time does not wait for them: whatever
    /// they bring must be there when all wait.  To be called before anything else has made a hub here.
    public static func startVirtual(seed: UInt64? = nil) {
        require(Context.running == nil, "Hub.startVirtual() on an OS thread that has a hub")
        current.state.pointee.virtualTime = VirtualTime(random: seed.map { SplitMix(state: $0) })
        ThreadClock.virtualTime = VirtualTime.start
        current.state.pointee.passBegan = .nowCoarse
    }
}

extension HubPointer {
    /// At the beginning of a pass of the scheduler.
    func beginVirtualPass() {
        wakeOverdue()
        guard pointee.virtualTime!.random != nil else { return }
        // One at a time, each drawn anew.
        pointee.turnsLeft = 1
        let count = pointee.ready.count
        if count > 1 { pointee.ready.moveToFront(Int.random(in: 0..<count, using: &pointee.virtualTime!.random!)) }
    }

    /// After a pass that has left some of those that are ready.
    func tick() { ThreadClock.virtualTime += VirtualTime.passLength }

    /// When nothing is ready.  Returns false where nobody waits for a moment.
    func jumpAhead() -> Bool {
        pollEvents()
        if !pointee.ready.isEmpty { return true }
        guard let next = pointee.deadlines.settleFirst() else { return false }
        ThreadClock.virtualTime = Swift.max(ThreadClock.virtualTime, next.nanoseconds)
        wakeOverdue()
        return true
    }
}
