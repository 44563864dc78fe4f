typealias HubPointer = UnsafeMutablePointer<HubState>

/// What a hub keeps, in raw memory: a switch away from inside a method leaves no access to a class property open.
///
/// Belongs to one OS thread; only `remote` may be touched from others.
struct HubState {
    let loop: EventLoop
    var ready = ReadyQueue()
    /// Of all green threads; `alarm` rings when the earliest has passed.
    var deadlines = DeadlineQueue()
    let alarm: UnsafeMutablePointer<TimerWatcher>
    /// The OS thread's own stack.
    let main: GreenThread
    /// Runs `schedule()` on a stack of its own; switched to where nothing is ready.
    let scheduler: GreenThread
    /// Switches left until the loop must be looked at, lest timers and other descriptors starve.
    var turnsLeft = 0
    /// When that was done last, for those who ask how long a green thread has waited.  Not read at each wait: it would cost as much as a switch.
    var passBegan = Deadline.nowCoarse
    /// Parked green threads that the world outside or a timer can wake.
    var outsideWaits = 0
    /// Green threads spawned and not ended.
    var alive = 0
    var first: GreenThread?  // the youngest that has not ended; the others through `older`
    var lastID: UInt64 = 0
    /// Those who wait for `alive` to become 0.
    var idle = WaitQueue.Ends()
    var stacks = StackPool()
    /// One buffer for all connections to receive into.
    var receiveBuffer = SharedBuffer(size: 64 << 10)
    /// The highest that a socket of the hub ever had.
    var lastDescriptor: Int32 = -1
    var remote: RemoteHub
    /// The signals that its watchers hold.
    var signals: ContiguousArray<UnsafeMutablePointer<SignalEvent>> = []
    /// The hub closes: whatever its green threads spawn while they unwind is killed before it begins.
    var killsNewcomers = false
    /// All have ended, and the scheduler shall end too.
    var isClosing = false
    var passes: UInt64 = 0
    /// Set when a deadlock was found, for the error of whoever is woken by it.
    var deadlock: BlockedForever?
    /// A fiber that ends names who runs then: neither parked nor in the ready queue.
    var successor: GreenThread?
    /// Nil unless somebody watches over the hub.
    var pulse: HubWatcher?
    /// Nil unless time is virtual.
    var virtualTime: VirtualTime?
    var onSpawn: ((AnyGreenlet) -> Void)?
    let owner: Unmanaged<Hub>

    static let turnsPerPass = 128
}

extension HubPointer {
    // MARK: Running

    /// Leaves `thread`, which has set its state, for the next one that is ready.  Returns when `thread`'s turn has come again.
    @inline(__always)
    func switchToNext(from thread: GreenThread) {
        let next = nextToRun()
        next.state = .running
        if next != thread { Context.switchStack(from: thread, to: next) }
    }

    @inline(__always)
    fileprivate func nextToRun() -> GreenThread {
        guard pointee.turnsLeft > 0, let next = pointee.ready.popFirst() else { return pointee.scheduler }
        pointee.turnsLeft -= 1
        return next
    }

    /// The hub's own loop: run what is ready, then ask the kernel what else is.  Returns when the hub closes.
    func schedule() {
        while !pointee.isClosing {
            pointee.turnsLeft = Swift.max(HubState.turnsPerPass, pointee.ready.count)
            pointee.passBegan = .nowCoarse
            if pointee.virtualTime != nil { beginVirtualPass() }
            pointee.pulse?.run()
            switchToNext(from: pointee.scheduler)
            if pointee.stacks.needsTrimming { pointee.stacks.trim() }
            if !pointee.ready.isEmpty || pointee.stacks.needsTrimming {
                if pointee.virtualTime != nil { tick() }
                pollEvents()
            } else if pointee.isClosing {
                return
            } else if pointee.virtualTime != nil, jumpAhead() {
                continue
            } else if canBeWoken {
                pointee.pulse?.sleep()
                pointee.ready.beginArrivals()
                pointee.loop.waitForEvents()
            } else {
                reportDeadlock()
            }
            verifyNowAndThen()
        }
    }

    func pollEvents() {
        pointee.ready.beginArrivals()
        pointee.loop.pollEvents()
    }

    /// A remote handle in somebody's hands may be used at any time.
    private var canBeWoken: Bool { pointee.outsideWaits > 0 || !isKnownUniquelyReferenced(&pointee.remote) }

    /// The main green thread is parked, or the scheduler would not run.
    private func reportDeadlock() {
        pointee.deadlock = BlockedForever(waiting: dump())
        pointee.main.wake(.blockedForever)
    }

    private func verifyNowAndThen() {
        #if DEBUG
        pointee.passes &+= 1
        if pointee.passes % 256 == 0 { pointee.loop.verify() }
        #endif
    }
}

extension HubPointer {
    /// Who runs in place of the green thread that has ended: its successor, where it has named one, or the next.
    func takeSuccessor() -> GreenThread {
        let next = pointee.successor ?? nextToRun()
        pointee.successor = nil
        next.state = .running
        Context.setRunning(next)
        return next
    }
}

extension GreenThread {
    /// Lets every other ready green thread run first.  After `operations` that did not wait, it brings the moment nearer when the loop is
    /// looked at: green threads that only the loop can wake wait for so many operations, not for a multiple of them.
    func giveWay(after operations: Int = 0) {
        hub.pointee.turnsLeft -= operations
        opsSinceWait = 0
        state = .ready
        hub.pointee.ready.append(self)
        hub.switchToNext(from: self)
    }
}
