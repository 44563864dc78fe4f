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

    /// Sees to it that the timer fires at `limit` at the latest.  One that is due earlier, left over from an earlier wait, is left
    /// alone and looks again when it fires: a deadline that moves on with every message costs nothing so.
    private func limitWait(to limit: Deadline) {
        pointee.deadline = limit.nanoseconds
        if hub.pointee.rehearsal != nil { return hub.expect(limit) }
        let timer = timer
        if !timer.isActive || timer.pointee.due > limit { timer.start(on: hub.pointee.loop, due: limit) }
    }

    private var timer: UnsafeMutablePointer<TimerWatcher> {
        if let timer = pointee.timer { return timer.assumingMemoryBound(to: TimerWatcher.self) }
        let timer = UnsafeMutablePointer<TimerWatcher>.make(context: self, callback: timerFired)
        pointee.timer = UnsafeMutableRawPointer(timer)
        return timer
    }

    fileprivate func timeIsUp() {
        guard state == .parked, pointee.deadline != Int64.max else { return }
        let limit = Deadline(nanoseconds: pointee.deadline)
        if limit.hasPassed { wake(.deadline) } else { timer.start(on: hub.pointee.loop, due: limit) }
    }

    func freeTimer() {
        pointee.timer?.assumingMemoryBound(to: TimerWatcher.self).free(on: hub.pointee.loop)
        pointee.timer = nil
    }
}

/// In the loop.
private let timerFired: TimerWatcher.Callback = { _, timer, _ in
    TimerWatcher.context(timer, as: GreenThread.Pointee.self).timeIsUp()
}
