/// Why a wait ended.
enum Wake: UInt8 {
    /// What was waited for has come.
    case event
    case deadline
    case cancelled
    /// What was waited on was closed by another green thread.
    case closed
    /// It has waited in vain for so long that it is to give up its stack.
    case rest
    /// Nothing was left that could have woken any green thread.
    case blockedForever
}

/// What a green thread waits for, as dumps name it, and what the detail of such a wait is.
enum WaitKind: UInt8 {
    case nothing
    /// The detail is the address of the descriptor, an `Int32` in the cache line of its socket: `ReadyQueue.prefetch` fetches it.
    case readable, writable
    case sleep
    /// The detail is the id of the green thread whose end is waited for.
    case end
    case idle
    /// The detail is the number of the signal, once it has come.
    case signal
    case lookup, connections, event, several, result, permit
    /// The detail is the address of the `LockState`.
    case lock
    case condition, barrier
    /// The detail is the address of the memory that the item is put into, or lies in.
    case item, room
    case tasks, fiber, remote, async
    /// A runner of tasks' jobs that has none.
    case job
    /// Another OS thread may end it.
    case serving
    /// The detail is the id of the process whose end is waited for.
    case process

    /// Whether the world outside the hub can end such a wait, so that a hub in which all others wait is not stuck.
    var comesFromOutside: Bool {
        switch self {
        case .readable, .writable, .signal, .lookup, .connections, .remote, .async, .serving, .process: true
        case .nothing, .sleep, .end, .idle, .event, .several, .result, .permit, .lock, .condition, .barrier: false
        case .item, .room, .tasks, .fiber, .job: false
        }
    }
}

/// What can end a wait besides other green threads.
private struct WaitBounds {
    let hasLimit: Bool
    let comesFromOutside: Bool

    var hasOutsideHelp: Bool { hasLimit || comesFromOutside }
}

extension GreenThread {
    // MARK: On the green thread that runs

    /// Parks the running green thread until it is woken, or until `deadline` (or that of an enclosing time limit) has passed.
    ///
    /// With `handOver`, the one place where a green thread gives up the processor to wait.  What is to wake it finds it in `queue`, or was given it by the caller
    /// before, and forgets it after: no wake-up may come for a wait that is over.  A killed green thread does not park at all.
    func wait(
        for kind: WaitKind, _ detail: UInt64 = 0, until deadline: Deadline = .never, in queue: WaitQueue? = nil
    ) -> Wake {
        waitHere(for: kind, detail, until: deadline, in: queue)
    }

    /// As `wait`, compiled into the caller: what each message waits by has one frame less, of which each would be a cache line or two more to touch.
    @inline(__always)
    func waitHere(
        for kind: WaitKind, _ detail: UInt64, until deadline: Deadline, in queue: WaitQueue? = nil
    ) -> Wake {
        if isCancelled { return .cancelled }
        let bounds = park(for: kind, detail, until: deadline)
        queue?.append(self)
        scheduler.switchToNext(from: self)
        return unpark(bounds)
    }

    /// Parks the running green thread as `wait` does, and runs `other` at once in its place, ahead of all that are ready: fibers do so.
    /// `other` is parked until it is handed over to.
    func handOver(to other: GreenThread) -> Wake {
        if isCancelled { return .cancelled }
        let bounds = park(for: .fiber, 0, until: .never)
        other.wakeReason = .event
        other.state = .running
        Context.switchStack(from: self, to: other)
        return unpark(bounds)
    }

    @inline(__always)
    private func park(for kind: WaitKind, _ detail: UInt64, until deadline: Deadline) -> WaitBounds {
        let scheduler = scheduler
        require(self != scheduler.loopThread, "a call that waits, in a callback of the hub")
        let limit = min(deadline, scopeDeadline)
        let bounds = WaitBounds(hasLimit: limit != .never, comesFromOutside: kind.comesFromOutside)
        if bounds.hasLimit { limitWait(to: limit) }
        if bounds.hasOutsideHelp { scheduler.fields.pointee.outsideWaits &+= 1 }
        waitKind = kind
        waitDetail = detail
        waitingSince = scheduler.fields.pointee.passBegan
        opsSinceWait = 0
        state = .parked
        return bounds
    }

    @inline(__always)
    private func unpark(_ bounds: WaitBounds) -> Wake {
        if bounds.hasOutsideHelp { scheduler.fields.pointee.outsideWaits &-= 1 }
        if bounds.hasLimit { deadline = .never }
        return wakeReason
    }

    /// What the end of a wait means to the green thread that waited; nil where what it waited for has come.
    @inline(__always)
    func error(after wake: Wake) -> WaitError? { wake == .event ? nil : failure(after: wake) }

    @inline(never)  // Rare: else each wait would make the frame that it takes.
    private func failure(after wake: Wake) -> WaitError? {
        switch wake {
        case .event: nil
        case .deadline: expiry ?? .deadlinePassed
        case .cancelled: .cancelled
        case .closed: .closed
        case .rest: .resting
        case .blockedForever: .blockedForever(scheduler.fields.pointee.deadlock!)
        }
    }

    /// What a wait throws where the time of an enclosing limit is over.
    private var expiry: WaitError? {
        @inline(never) get {  // as `failure(after:)`
            let now = Deadline.now
            return scopeDeadline <= now ? scope?.expiry(at: now) : nil
        }
    }

    /// For calls that did not have to wait: a killed green thread, or one whose time is over, must not run on for ever.
    @inline(__always)
    func throwIfInterrupted() throws(WaitError) {
        if isCancelled { throw .cancelled }
        if scopeDeadline != .never, let expiry { throw expiry }
    }

    // MARK: On any green thread, and in the loop's callbacks

    /// Ends the wait of a parked green thread.  Does nothing to one that is not parked: the first wake-up wins.
    @inline(__always)
    func wake(_ reason: Wake) {
        guard state == .parked else { return }
        if let queue { queue.remove(self) }
        wakeReason = reason
        state = .ready
        scheduler.fields.pointee.ready.append(self)
    }

    /// As `wake(.event)`, in the loop's callback for the descriptor that it waits for, and so in no queue.  `priority` is that of the watcher.
    @inline(__always)
    func wakeByDescriptor(_ priority: Int32) {
        guard state == .parked else { return }
        assert(queue == nil)
        wakeReason = .event
        state = .ready
        scheduler.fields.pointee.ready.insertArrival(self, priority)
    }

    // MARK: Deadlines

    @inline(never)  // Else the frames of parked green threads would be larger.
    private func limitWait(to limit: Deadline) {
        deadline = limit
        if !scheduler.fields.pointee.deadlines.renew(self) { enterLimit(limit) }
    }

    @inline(never)  // So that what happens with each message needs no frame.
    private func enterLimit(_ limit: Deadline) {
        scheduler.fields.pointee.deadlines.enter(self)
        if scheduler.fields.pointee.virtualTime == nil { scheduler.ring(by: limit) }
    }

    func forgetDeadline() { if deadlineIndex >= 0 { scheduler.fields.pointee.deadlines.remove(self) } }
}

extension Scheduler {
    /// Sees to it that the alarm rings at `moment` at the latest.
    @inline(__always)
    fileprivate func ring(by moment: Deadline) {
        if moment < fields.pointee.alarm.pointee.due { fields.pointee.alarm.start(on: loop, due: moment) }
    }

    /// Wakes the green threads whose deadlines have passed, in the order of the deadlines; of equal ones, in the order in which the waits began.
    func wakeOverdue() {
        let now = Deadline.now
        while let thread = fields.pointee.deadlines.popFirst(until: now) { thread.wake(.deadline) }
    }
}

/// In the loop.
let alarmRang: TimerWatcher.Callback = { _, timer, _ in
    let scheduler = Scheduler(TimerWatcher.context(timer, as: Scheduler.Fields.self))
    scheduler.wakeOverdue()
    if let next = scheduler.fields.pointee.deadlines.earliest { scheduler.ring(by: next) }
}
