/// A number of permits, which the green threads of several hubs, and tasks, take and give back.
///
/// As `GreenSemaphore`: first come, first served.  A permit that is given back belongs to the green thread or task that has waited longest from that moment
/// on, even if a kill, a deadline or a cancellation comes before it runs.  With one permit it is a lock that
/// one green thread takes and another gives back; `RemoteLock` has an owner.
public final class RemoteSemaphore: Sendable, Waitable {
    /// Each item is a permit that is not held.
    let permits = RemoteChannel<Void>()

    /// A semaphore with `permits` permits, all of them available.
    public init(_ permits: Int = 1) {
        require(permits >= 0, "a semaphore with \(permits) permits")
        for _ in 0..<permits { release() }
    }

    /// Ready while a permit is available.
    public var waitSource: WaitSource { permits.waitSource }

    /// Permits that are not held.  Callable from any OS thread.
    public var available: Int { permits.count }

    /// Takes a permit if one is available; returns whether it did.  Callable from any OS thread; never waits.
    public func tryAcquire() -> Bool { permits.tryTake() != nil }

    /// Takes a permit, and waits until one is available.  Callable from a green thread of any hub.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; no permit was taken then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    public func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Takes a permit, and waits until `deadline` for one.  Returns whether it has taken one.  Callable from a green thread of any hub.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; no permit was taken then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        do throws(WaitError) {
            try permits.take(until: deadline)
            return true
        } catch {
            guard error == .deadlinePassed else { throw error }
            return false
        }
    }

    /// Gives a permit back: to the green thread or task that has waited longest, if one waits.  Callable from any OS thread; never waits.
    public func release() {
        // The channel has no limit, and is never closed.
        _ = try? permits.tryPut(())
    }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension RemoteSemaphore {
    /// Runs `body` with a permit, which it releases however `body` ends.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError` as `acquire()` does; `body` does not run then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @_disfavoredOverload  // In async code, the async one is meant, also with a `body` that does not wait.
    @discardableResult
    public func withPermit<Value>(_ body: () throws(WaitError) -> Value) throws(WaitError) -> Value {
        try acquire()
        defer { release() }
        return try body()
    }

    /// As the other `withPermit`, for a `body` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @_disfavoredOverload
    @discardableResult
    public func withPermit<Value>(_ body: () throws -> Value) throws -> Value {
        try acquire()
        defer { release() }
        return try body()
    }
}
