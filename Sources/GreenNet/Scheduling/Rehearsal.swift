/// What a hub for tests has in place of time and of the order of things.
struct Rehearsal {
    /// Picks the next of those that are ready; nil: first come, first served.
    var random: SplitMix?

    /// What a pass of the scheduler takes that leaves somebody ready, so that an endless loop which only gives way runs into its time limit too.
    static let passLength: Int64 = 1000
    static let start: Int64 = 1_000_000_000
}

/// Steele, Lea and Flood's SplitMix64: the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
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
        current.state.pointee.rehearsal = Rehearsal(random: seed.map { SplitMix(state: $0) })
        Context.virtualTime = Rehearsal.start
        current.state.pointee.passBegan = .nowCoarse
    }
}

extension HubPointer {
    /// At the beginning of a pass of the scheduler.
    func rehearsePass() {
        wakeOverdue()
        guard pointee.rehearsal!.random != nil else { return }
        // One at a time, each drawn anew.
        pointee.turnsLeft = 1
        let count = pointee.ready.count
        if count > 1 { pointee.ready.moveToFront(Int.random(in: 0..<count, using: &pointee.rehearsal!.random!)) }
    }

    /// After a pass that has left some of those that are ready.
    func tick() { Context.virtualTime += Rehearsal.passLength }

    /// When nothing is ready.  Returns false where nobody waits for a moment.
    func jumpAhead() -> Bool {
        pollEvents()
        if !pointee.ready.isEmpty { return true }
        guard let next = pointee.deadlines.settleFirst() else { return false }
        Context.virtualTime = Swift.max(Context.virtualTime, next)
        wakeOverdue()
        return true
    }
}
