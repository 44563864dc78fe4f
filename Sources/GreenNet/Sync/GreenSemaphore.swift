/// So many permits, which green threads take and give back.
///
/// First come, first served, and fair: a permit that is given back while somebody waits goes to whoever has waited longest, and is never
/// snatched by one that just comes along (gevent allows that).  The permit belongs to the woken one from that moment, also where it is
/// killed before it runs: its `acquire` returns, and whatever waits next throws.
/// Belongs to its OS thread.
public class GreenSemaphore: Waitable {
    // Raw memory: green threads stand in it while they wait.  Somebody does only while no permit is left.
    private final let waiting = WaitQueue.make()

    /// Permits that nobody has.
    public private(set) final var available: Int

    /// Begins with so many permits; with none, until the first `release`.
    public init(_ permits: Int = 1) {
        require(permits >= 0, "a semaphore with \(permits) permits")
        available = permits
    }

    deinit { waiting.deallocate() }

    override final var isReady: Bool { available > 0 }

    /// Takes a permit, where one is left: without waiting.
    public final func tryAcquire() -> Bool {
        guard available > 0 else { return false }
        available -= 1
        return true
    }

    /// Takes a permit, and waits for one where none is left.  Throws when killed or when an enclosing time limit is over; no permit was taken
    /// then.
    public final func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Takes a permit, and waits for one until `deadline` where none is left.  Returns whether it has one.  Throws when killed or when an
    /// enclosing time limit is over; no permit was taken then.
    public final func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        if tryAcquire() { return true }
        let thread = Hub.currentThread
        switch thread.error(after: thread.wait(for: .permit, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return false
        case let error?: throw error
        }
    }

    /// Gives a permit: to whoever has waited longest, where somebody waits.  Never waits itself.  There may be more permits than at the beginning.
    public func release() {
        if let next = waiting.first { return next.wake(.event) }
        available += 1
        announce()
    }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension GreenSemaphore {
    /// Runs `body` with a permit, which it releases however `body` ends.  Callable from any green thread.
    ///
    /// Throws `WaitError` as `acquire()` does; `body` does not run then.
    @discardableResult
    public func withPermit<Value>(_ body: () throws(WaitError) -> Value) throws(WaitError) -> Value {
        try acquire()
        defer { release() }
        return try body()
    }

    /// As the other `withPermit`, for a `body` that throws errors of its own.  They come out as they are.
    @discardableResult
    public func withPermit<Value>(_ body: () throws -> Value) throws -> Value {
        try acquire()
        defer { release() }
        return try body()
    }
}
