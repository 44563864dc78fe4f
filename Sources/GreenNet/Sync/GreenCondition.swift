/// Lets the holder of a lock wait, without it, until another says that something has changed.
///
/// Whoever is woken looks again at what it waits for: `wait(for:)` does.  First come, first served.  Belongs to its OS thread.
public final class GreenCondition {
    /// Held by whoever calls `wait`.  Several conditions may share one.
    public let lock: GreenLock
    // Raw memory: green threads stand in it while they wait.
    private let waiting = WaitQueue.make()

    /// A condition on what `lock` protects.
    public init(_ lock: GreenLock = GreenLock()) { self.lock = lock }

    deinit { waiting.deallocate() }

    /// Gives the lock back, waits for a signal, or until `deadline`, and takes the lock again.  Returns whether there was a signal.
    ///
    /// Throws when killed or when an enclosing time limit is over, also then with the lock: waiting for that is not interrupted.  A signal that has
    /// come before counts, and none is lost: whoever is killed or late before it comes leaves it to the next.
    /// Only where it throws `WaitError.blockedForever` may the lock be another's for good.
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        let thread = Hub.currentThread
        let depth = lock.releaseAll()
        let error = thread.error(after: thread.wait(for: .condition, until: deadline, in: waiting))
        try lock.takeAgain(depth)
        if let error, error != .deadlinePassed { throw error }
        return error == nil
    }

    /// Waits until `isTrue` returns true, and calls it with the lock: at the beginning, after each signal, and at `deadline`.  Returns its last value.
    ///
    /// To be called with the lock.  Throws as `wait(until:)` does.
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
    @discardableResult
    public func wait(until deadline: Deadline = .never, for isTrue: () throws -> Bool) throws -> Bool {
        while try !isTrue() {
            if try !wait(until: deadline) { return try isTrue() }
        }
        return true
    }

    /// Wakes the one that has waited longest, where one waits.  Never waits.
    public func signal() { waiting.first?.wake(.event) }

    /// Wakes all that wait.  Never waits.
    public func broadcast() { waiting.wakeAll() }
}

@available(*, unavailable)
extension GreenCondition: Sendable {}
