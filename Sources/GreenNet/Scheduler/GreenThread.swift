import Glibc

/// Where a green thread stands.
enum GreenState: UInt8 {
    case ready, running, parked, ended
}

/// Why a wait ended.
enum Wake: UInt8 {
    /// What was waited for has come.
    case event
    case deadline
    case cancelled
    /// What was waited on was closed by somebody else.
    case closed
    /// Nothing was left that could have woken anybody.
    case blockedForever
}

/// What a green thread waits for, as dumps name it.
enum WaitKind: UInt8 {
    case nothing, readable, writable, sleep, end, idle, signal, lookup, connections, event
    case several, result, permit, lock, condition, barrier, item, room, tasks, fiber, remote

    /// Whether the world outside the hub can end such a wait, so that a hub in which all others wait is not stuck.
    var comesFromOutside: Bool {
        switch self {
        case .readable, .writable, .signal, .lookup, .connections, .remote: true
        case .nothing, .sleep, .end, .idle, .event, .several, .result, .permit, .lock, .condition, .barrier: false
        case .item, .room, .tasks, .fiber: false
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
    var hub: HubPointer {
        @inline(__always) get { pointee.hub.assumingMemoryBound(to: HubState.self) }
    }

    var state: GreenState {
        get { GreenState(rawValue: pointee.state)! }
        nonmutating set { pointee.state = newValue.rawValue }
    }

    var waitKind: WaitKind { WaitKind(rawValue: pointee.wait_kind)! }

    /// Killed, and not inside `shielded`.
    var isCancelled: Bool { pointee.cancelled != 0 && pointee.shields == 0 }

    /// Parks the running green thread until somebody wakes it or `deadline` (or that of an enclosing time limit) has passed.
    ///
    /// The one place where a green thread gives up the processor to wait.  Whoever shall wake it finds it in `queue`, or was told
    /// of it by the caller before, and forgets it after: nobody may wake a thread for a wait that is over.
    /// A killed green thread does not park at all.
    func wait(
        for kind: WaitKind, _ detail: UInt64 = 0, until deadline: Deadline = .never,
        in queue: UnsafeMutablePointer<WaitQueue>? = nil
    ) -> Wake {
        if isCancelled { return .cancelled }
        let bounds = park(for: kind, detail, until: deadline)
        queue?.append(self)
        hub.runOthers(insteadOf: self)
        return unpark(bounds)
    }

    /// Parks the running green thread as `wait` does, and runs `other` at once in its place, ahead of all that are ready: fibers do so.
    /// `other` is parked until somebody hands over to it.
    func handOver(to other: GreenThread) -> Wake {
        if isCancelled { return .cancelled }
        let bounds = park(for: .fiber, 0, until: .never)
        other.pointee.wake = Wake.event.rawValue
        other.state = .running
        Context.switchStack(from: self, to: other)
        return unpark(bounds)
    }

    @inline(__always)
    private func park(for kind: WaitKind, _ detail: UInt64, until deadline: Deadline) -> WaitBounds {
        let hub = hub
        require(self != hub.pointee.scheduler, "a call that waits, in a callback of the hub")
        let limit = Swift.min(deadline.nanoseconds, pointee.scope_deadline)
        let bounds = WaitBounds(hasLimit: limit != Int64.max, comesFromOutside: kind.comesFromOutside)
        if bounds.hasLimit { limitWait(to: Deadline(nanoseconds: limit)) }
        if bounds.hasOutsideHelp { hub.pointee.outsideWaits += 1 }
        pointee.wait_kind = kind.rawValue
        pointee.wait_detail = detail
        pointee.waiting_since = hub.pointee.passBegan.nanoseconds
        pointee.turns = 0
        state = .parked
        return bounds
    }

    @inline(__always)
    private func unpark(_ bounds: WaitBounds) -> Wake {
        if bounds.hasOutsideHelp { hub.pointee.outsideWaits -= 1 }
        if bounds.hasLimit { pointee.deadline = Int64.max }
        return Wake(rawValue: pointee.wake)!
    }

    /// Ends the wait of a parked green thread.  Does nothing to one that is not parked: the first to wake it wins.
    @inline(__always)
    func wake(_ why: Wake) {
        guard state == .parked else { return }
        if let queue = pointee.queue { queue.remove(self) }
        pointee.wake = why.rawValue
        state = .ready
        hub.pointee.ready.append(self)
    }

    /// As `wake(.event)`, in the loop's callback for the descriptor that it waits for, and so in no queue.  `priority` is that of the watcher.
    @inline(__always)
    func wakeByDescriptor(_ priority: Int32) {
        guard state == .parked else { return }
        assert(pointee.queue == nil)
        pointee.wake = Wake.event.rawValue
        state = .ready
        hub.pointee.ready.insertArrival(self, priority)
    }

    /// Lets every other ready green thread run first.  After `operations` that did not wait, it brings the moment nearer when the loop is
    /// looked at: those whom only the loop knows wait for so many operations, not for so many times as many.
    func giveWay(after operations: Int = 0) {
        hub.pointee.turnsLeft -= operations
        pointee.turns = 0
        state = .ready
        hub.pointee.ready.append(self)
        hub.runOthers(insteadOf: self)
    }

    // MARK: Deadlines

    @inline(never)  // Else the frames of those that wait would be larger.
    private func limitWait(to limit: Deadline) {
        pointee.deadline = limit.nanoseconds
        if !hub.pointee.deadlines.renew(self) { enterLimit(limit) }
    }

    @inline(never)  // So that what happens with each message needs no frame.
    private func enterLimit(_ limit: Deadline) {
        hub.pointee.deadlines.enter(self)
        if hub.pointee.virtualTime == nil { hub.ring(by: limit) }
    }

    func forgetDeadline() { if pointee.timer != 0 { hub.pointee.deadlines.remove(self) } }
}

extension HubPointer {
    /// Sees to it that the alarm rings at `moment` at the latest.
    @inline(__always)
    fileprivate func ring(by moment: Deadline) {
        if moment < pointee.alarm.pointee.due { pointee.alarm.start(on: pointee.loop, due: moment) }
    }

    /// Wakes those whose deadlines have passed, in the order of these, and of their waits where they are the same.
    func wakeOverdue() {
        let now = Deadline.now
        while let thread = pointee.deadlines.popFirst(until: now.nanoseconds) { thread.wake(.deadline) }
    }
}

/// In the loop.
let alarmRang: TimerWatcher.Callback = { _, timer, _ in
    let hub = TimerWatcher.context(timer, as: HubState.self)
    hub.wakeOverdue()
    if let next = hub.pointee.deadlines.earliest { hub.ring(by: Deadline(nanoseconds: next)) }
}
