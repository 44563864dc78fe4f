import Synchronization

/// A lock between OS threads: one green thread of all hubs, or one task, holds it at a time.
///
///     let lock = RemoteLock()
///     try lock.withLock { try file.write(entry) }  // may wait; the other green threads of the hub run meanwhile
///
/// First come, first served: a lock that is released belongs to the green thread or task that has waited longest from then on.  It is not reentrant: where its
/// owner acquires it again, that throws `WaitError.deadlock`.  A deadlock of several locks is not found: where green threads of different hubs wait for each other's
/// locks, none goes on.  So acquire several locks in one order everywhere, or with a deadline.
///
/// A `Mutex` is for what never waits while it holds the lock.
public final class RemoteLock: Sendable {
    /// Who has it, or waits for it.
    enum Holder: Hashable, Sendable {
        /// On the OS thread with this `Owner`.
        case greenThread(UInt64, on: UInt32)
        /// At this address.
        case task(UInt)

        /// The green thread that runs.
        static var here: Holder {
            let thread = Hub.currentThread
            return .greenThread(thread.id, on: Owner.here.number)
        }
    }

    private struct State {
        var holder: Holder?
        var waiters: [(ticket: RemoteTicket<Void>, holder: Holder)] = []
    }

    private let state = Mutex(State())

    /// A lock that no green thread holds.
    public init() {}

    private func locked<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// Whether a green thread or task holds the lock.  Callable from any OS thread.
    public var isLocked: Bool { locked { $0.holder != nil } }

    /// Whether the running green thread holds the lock.  On an OS thread without a hub, it makes one.
    public var isHeld: Bool {
        let here = Holder.here
        return locked { $0.holder == here }
    }

    /// Acquires the lock unless it is held, by the caller too; returns whether it did.  Callable from a green thread of any hub, and never waits; on an OS thread
    /// without a hub, it makes one.
    public func tryAcquire() -> Bool { take(for: .here) }

    func take(for holder: Holder) -> Bool {
        locked { state in
            if state.holder != nil { return false }
            state.holder = holder
            return true
        }
    }

    /// Acquires the lock, and waits while it is held.  Callable from a green thread of any hub; on an OS thread without a hub, it makes one.
    ///
    /// Throws `WaitError.deadlock` where the caller itself holds it, and when the caller is killed or an enclosing time limit is over; the lock was not acquired then.
    @available(*, noasync, message: "it parks a green thread; a task awaits `withLock`")
    public func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Acquires the lock, and waits until `deadline` while it is held.  Returns whether it was acquired.  Throws as `acquire()` does.
    @available(*, noasync, message: "it parks a green thread; a task awaits `withLock`")
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        let holder = Holder.here
        if take(for: holder) { return true }
        if isHeld(by: holder) { throw .deadlock(LockCycle(greenThreads: [Hub.currentThread.title])) }
        let ticket = RemoteTicket<Void>(nil, of: .greenThread)
        defer { ticket.end() }
        guard enter(ticket, holder) else { return true }
        while isWaiting(ticket) {
            guard let error = ticket.park(until: deadline), leave(ticket) else { continue }
            if error == .deadlinePassed { return false }
            throw error
        }
        return true
    }

    /// Releases the lock.  To be called by the green thread that holds it: any other stops the program.  Never waits.
    public func release() { release(by: .here) }

    func release(by holder: Holder) {
        let (isHolder, next) = locked { state in
            guard state.holder == holder else { return (false, RemoteTicket<Void>?.none) }
            let next = state.waiters.isEmpty ? nil : state.waiters.removeFirst()
            state.holder = next?.holder
            next?.ticket.serve(with: ())
            return (true, next?.ticket)
        }
        require(isHolder, "a RemoteLock is released by a green thread that does not hold it")
        next?.wake()
    }

    func isHeld(by holder: Holder) -> Bool { locked { $0.holder == holder } }

    /// Returns whether `ticket` waits, with the `continuation` of a task: whether that will be resumed.
    func enter(
        _ ticket: RemoteTicket<Void>, _ holder: Holder, _ continuation: UnsafeContinuation<Void, Never>? = nil
    ) -> Bool {
        locked { state in
            if state.holder == nil {
                state.holder = holder
                ticket.serve(with: ())
                return false
            }
            guard ticket.suspend(continuation) else { return false }
            state.waiters.append((ticket, holder))
            return true
        }
    }

    /// False where `ticket` does not wait any more.
    func leave(_ ticket: RemoteTicket<Void>) -> Bool {
        locked { state in
            let count = state.waiters.count
            state.waiters.removeAll { $0.ticket === ticket }
            return state.waiters.count < count
        }
    }

    /// For tests.
    var waiterCount: Int { locked { $0.waiters.count } }

    func isWaiting(_ ticket: RemoteTicket<Void>) -> Bool { locked { _ in ticket.stage == .waiting } }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension RemoteLock {
    /// Runs `body` with the lock, which it releases however `body` ends.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError` as `acquire()` does; `body` does not run then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @_disfavoredOverload  // In async code, the async one is meant, also with a `body` that does not wait.
    @discardableResult
    public func withLock<Value>(_ body: () throws(WaitError) -> Value) throws(WaitError) -> Value {
        try acquire()
        defer { release() }
        return try body()
    }

    /// As the other `withLock`, for a `body` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @_disfavoredOverload
    @discardableResult
    public func withLock<Value>(_ body: () throws -> Value) throws -> Value {
        try acquire()
        defer { release() }
        return try body()
    }
}
