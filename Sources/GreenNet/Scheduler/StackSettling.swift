/// When the hub gives the memory of free stacks back to the kernel: in the loop, a few stacks at a time, between looks at what has come.
extension Scheduler {
    /// How long free stacks may be of no use before they lose their pages.
    private static let interval = Duration.milliseconds(250)

    /// To be called in each pass in which the pool `hasMuch`.
    @inline(never)  // Most hubs have few stacks.
    func lookAfterStacks() {
        if fields.pointee.stacks.needsTrimming { fields.pointee.stacks.trim() }
        let settling = fields.pointee.settling
        if fields.pointee.stacks.needsSettling, settling.pointee.due == .never {
            fields.pointee.lastSettledID = fields.pointee.lastID
            settling.start(on: loop, due: .after(Scheduler.interval))
        }
    }

    /// The program needed no more stacks than it has spawned green threads since the last look.
    fileprivate func settleStacks() {
        let spawned = fields.pointee.lastID - fields.pointee.lastSettledID
        fields.pointee.stacks.settle(at: Int(min(spawned, 1 << 20)) * StackClass.usual.bytes)
    }
}

/// In the loop.
let settlingRang: TimerWatcher.Callback = { _, timer, _ in
    Scheduler(TimerWatcher.context(timer, as: Scheduler.Fields.self)).settleStacks()
}
