/// A condition variable: the holder of a lock waits, without the lock, until another green thread signals a change.
///
/// A green thread that is woken must check again what it waits for: `wait(for:)` does.  First come, first served.  For one OS thread: see <doc:WithAsyncCode>.
public final class GreenCondition: HubObject {
    /// Held by every caller of `wait`.  Several conditions may share one lock.
    public let lock: GreenLock
    @exclusivity(unchecked)  // Nothing parks during such an access.
    var owner = Owner()
    // Raw memory: green threads are in it while they wait.
    private let waiting = WaitQueue.make()

    /// A condition on the state that `lock` protects.
    public init(_ lock: GreenLock = GreenLock()) { self.lock = lock }

    deinit { waiting.deallocate() }

    /// Releases the lock, waits for a signal, or until `deadline`, and acquires the lock again.  Returns whether there was a signal.
    ///
    /// To be called with the lock.  Throws when the caller is killed or an enclosing time limit is over.  The caller holds the lock then too, for the wait
    /// for the lock is not interrupted; only after `WaitError.blockedForever` another green thread may hold it for good.  A signal that came before the
    /// kill or the deadline counts; a signal that comes after goes to the next green thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        let thread = ownThread()
        let depth = lock.releaseAll()
        let error = thread.error(after: thread.wait(for: .condition, until: deadline, in: waiting))
        try lock.takeAgain(depth)
        if let error, error != .deadlinePassed { throw error }
        return error == nil
    }

    /// Waits until `isTrue` returns true, and calls it with the lock: at the beginning, after each signal, and at `deadline`.  Returns its last value.
    ///
    /// To be called with the lock.  Throws as `wait(until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(
        until deadline: Deadline = .never, for isTrue: () throws(WaitError) -> Bool
    ) throws(WaitError) -> Bool {
        while try !isTrue() {
            if try !wait(until: deadline) { return try isTrue() }
        }
        return true
    }

    /// As the other `wait(until:for:)`, for an `isTrue` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never, for isTrue: () throws -> Bool) throws -> Bool {
        while try !isTrue() {
            if try !wait(until: deadline) { return try isTrue() }
        }
        return true
    }

    /// Wakes the green threads that have waited longest, `count` of them or as many as wait.  Never waits.
    ///
    /// 0 wakes none; a negative count stops the program.
    public func signal(_ count: Int = 1) {
        checkOwner()
        require(count >= 0, "a signal for \(count) green threads")
        for _ in 0..<count {
            guard let first = waiting.first else { return }
            first.wake(.event)
        }
    }

    /// Wakes all green threads that wait.  Never waits.
    public func broadcast() {
        checkOwner()
        waiting.wakeAll()
    }
}

@available(*, unavailable)
extension GreenCondition: Sendable {}
