/// A reentrant lock: one green thread at a time holds it, and may acquire it again.
///
/// First come, first served: a lock that is released belongs to the green thread that has waited longest from then on.
/// Where waiting would close a cycle of green threads that wait for each other's locks with no deadline, `acquire` throws
/// `WaitError.deadlock`, which names them.  For one OS thread: see <doc:WithAsyncCode>.
public final class GreenLock: HubObject {
    @exclusivity(unchecked)  // Nothing parks during such an access.
    var owner = Owner()
    // Raw memory: green threads are in it while they wait, and are followed from lock to owner to lock.
    private let state = UnsafeMutablePointer<LockState>.allocate(capacity: 1)

    /// For messages; nil where it has none.
    public let name: String?

    /// A lock that no green thread holds.  Messages of a `LockOrder` have its `name`.
    public init(name: String? = nil) {
        self.name = name
        state.initialize(to: LockState())
    }

    deinit { state.deallocate() }

    /// Whether a green thread holds the lock.
    public var isLocked: Bool { state.pointee.depth > 0 }

    /// Whether the running green thread holds the lock.
    public var isHeld: Bool { state.isOwned(by: Hub.currentThread) }

    /// Acquires the lock unless another green thread holds it; returns whether it did.  Never waits.
    public func tryAcquire() -> Bool {
        let thread = ownThread()
        guard !isLocked || state.isOwned(by: thread) else { return false }
        if !isLocked { handOver(to: thread) }
        state.pointee.depth += 1
        return true
    }

    /// Acquires the lock, and waits while another green thread holds it.  Callable from any green thread.
    ///
    /// Throws when the caller is killed, when an enclosing time limit is over, and `WaitError.deadlock` where the wait could never end; the lock was not
    /// acquired then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Acquires the lock, and waits until `deadline` while another green thread holds it.  Returns whether it was acquired.  Throws as `acquire()` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        // Before all else: an OS thread without a hub must not get one by its mistake.
        let thread = ownThread()
        if let order = thread.scheduler.fields.pointee.lockOrder, deadline == .never, !isHeld {
            order.wants(state, name, thread)
        }
        if tryAcquire() { return true }
        if let cycle = state.cycle(closedBy: thread, until: deadline) { throw .deadlock(cycle) }
        do throws(WaitError) { try wait(until: deadline) } catch {
            guard error == .deadlinePassed else { throw error }
            return false
        }
        return true
    }

    /// While another green thread holds it.  Returns once the lock was handed over.
    private func wait(until deadline: Deadline) throws(WaitError) {
        let thread = Hub.currentThread
        let wake = thread.wait(for: .lock, UInt64(UInt(bitPattern: state)), until: deadline, in: state.waiting)
        if let error = thread.error(after: wake) { throw error }
    }

    /// Releases the lock, or undoes one `acquire` of several.  To be called by the green thread that holds it.  Never waits.
    public func release() {
        checkOwner()
        require(isHeld, "a lock is released by a green thread that does not hold it")
        state.pointee.depth -= 1
        if state.pointee.depth == 0 { passOn() }
    }

    private func handOver(to thread: GreenThread) {
        state.handOver(to: thread)
        thread.scheduler.fields.pointee.lockOrder?.acquired(state, name, thread)
    }

    /// The running green thread has just released it.
    private func passOn() {
        let thread = Hub.currentThread
        thread.scheduler.fields.pointee.lockOrder?.released(state, thread)
        guard let next = state.waiting.first else { return }
        handOver(to: next)
        state.pointee.depth = 1
        next.wake(.event)
    }

    // MARK: For conditions

    /// Releases it however often it was acquired, and returns what `takeAgain` needs.
    func releaseAll() -> Int {
        require(isHeld, "a green thread waits for a condition without its lock")
        defer { passOn() }
        defer { state.pointee.depth = 0 }
        return state.pointee.depth
    }

    /// Neither a kill nor a time limit ends this wait.  Throws only `WaitError.blockedForever`, where no green thread is left that could release it.
    func takeAgain(_ depth: Int) throws(WaitError) {
        try shielded { () throws(WaitError) in
            if !tryAcquire() { try wait(until: .never) }
        }
        state.pointee.depth = depth
    }
}

@available(*, unavailable)
extension GreenLock: Sendable {}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension GreenLock {
    /// Runs `body` with the lock, which it releases however `body` ends.  Callable from any green thread.
    ///
    /// Throws `WaitError` as `acquire()` does; `body` does not run then.  In a function that `throws(WaitError)`, write the type of the body:
    /// `try lock.withLock { () throws(WaitError) in try queue.take() }`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withLock<Value>(_ body: () throws(WaitError) -> Value) throws(WaitError) -> Value {
        try acquire()
        // It is not held where a condition inside could not acquire it again.
        defer { if isHeld { release() } }
        return try body()
    }

    /// As the other `withLock`, for a `body` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withLock<Value>(_ body: () throws -> Value) throws -> Value {
        try acquire()
        defer { if isHeld { release() } }
        return try body()
    }
}

/// Runs `body` with all of `locks`, and releases them however `body` ends.  Callable from any green thread.
///
/// The locks are always acquired in the same order, so that two green threads that want some of the same locks don't wait for each other.
/// Throws `WaitError` as `GreenLock.acquire()` does; then `body` does not run, and no lock is held.  In a function that `throws(WaitError)`, write the type
/// of the body, as for `GreenLock.withLock`.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func withLocks<Value>(
    _ locks: GreenLock..., body: () throws(WaitError) -> Value
) throws(WaitError) -> Value {
    let held = try acquireAll(locks)
    defer { releaseAll(held) }
    return try body()
}

/// As the other `withLocks`, for a `body` that throws errors of its own.  They come out as they are.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func withLocks<Value>(_ locks: GreenLock..., body: () throws -> Value) throws -> Value {
    let held = try acquireAll(locks)
    defer { releaseAll(held) }
    return try body()
}

/// Returns the locks in the order in which it has acquired them.
private func acquireAll(_ locks: [GreenLock]) throws(WaitError) -> [GreenLock] {
    let sorted = locks.sorted { ObjectIdentifier($0) < ObjectIdentifier($1) }
    for (index, lock) in sorted.enumerated() {
        do throws(WaitError) { try lock.acquire() } catch {
            releaseAll(Array(sorted[..<index]))
            throw error
        }
    }
    return sorted
}

private func releaseAll(_ locks: [GreenLock]) {
    // One is not held where a condition inside could not acquire it again.
    for lock in locks.reversed() where lock.isHeld { lock.release() }
}
