/// What a hub for tests has in place of time and of the order of things.
struct VirtualTime {
    /// Picks the next of the ready green threads; nil: first come, first served.
    var random: SplitMix?

    /// What a pass of the scheduler takes that leaves a green thread ready, so that an endless loop which only gives way runs into its time limit too.
    static let passLength: Int64 = 1000
    static let start: Int64 = 1_000_000_000
}

extension Scheduler {
    /// Before any other green thread was made.
    func startVirtualTime(_ random: SplitMix?) {
        fields.pointee.virtualTime = VirtualTime(random: random)
        ThreadClock.virtualTime = VirtualTime.start
        fields.pointee.passBegan = .nowCoarse
    }

    /// At the beginning of a pass of the scheduler.
    func beginVirtualPass() {
        wakeOverdue()
        guard fields.pointee.virtualTime!.random != nil else { return }
        // One at a time, each drawn anew.
        fields.pointee.switchesUntilPoll = 1
        let count = fields.pointee.ready.count
        guard count > 1 else { return }
        fields.pointee.ready.moveToFront(Int.random(in: 0..<count, using: &fields.pointee.virtualTime!.random!))
    }

    /// After a pass that has left some green threads ready.
    func tick() { ThreadClock.virtualTime += VirtualTime.passLength }

    /// When none is ready.  Returns false where no green thread waits for a moment.
    func jumpAhead() -> Bool {
        pollEvents()
        if !fields.pointee.ready.isEmpty { return true }
        guard let next = fields.pointee.deadlines.settleFirst() else { return false }
        ThreadClock.virtualTime = max(ThreadClock.virtualTime, next.nanoseconds)
        wakeOverdue()
        return true
    }
}
