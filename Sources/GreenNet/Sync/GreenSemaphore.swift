/// A number of permits, which green threads take and give back.
///
/// First come, first served: a permit that is given back goes to the green thread that has waited longest, and a newcomer can't take it first (in
/// gevent it can).  The permit belongs to that green thread from then on, even if it is killed before it runs: its `acquire` returns, and its next
/// wait throws.  For one OS thread: see <doc:WithAsyncCode>; `RemoteSemaphore` is for several OS threads.
public final class GreenSemaphore: Waitable {
    @exclusivity(unchecked)  // Nothing parks during such an access.
    var observers: [Observer] = []
    @exclusivity(unchecked)
    var owner = Owner()
    // Raw memory: green threads are in it while they wait, which they do only while no permit is left.
    private let waiting = WaitQueue.make()

    /// Permits that no green thread holds.
    @exclusivity(unchecked)
    public private(set) var available: Int

    /// A semaphore with `permits` permits, all of them available.
    public init(_ permits: Int = 1) {
        require(permits >= 0, "a semaphore with \(permits) permits")
        available = permits
    }

    deinit { waiting.deallocate() }

    /// Ready while a permit is available.
    public var waitSource: WaitSource { WaitSource(self) }

    /// Takes a permit if one is available; returns whether it did.  Never waits.
    public func tryAcquire() -> Bool {
        checkOwner()
        guard available > 0 else { return false }
        available -= 1
        return true
    }

    /// Takes a permit, and waits until one is available.  Callable from any green thread.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; no permit was taken then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Takes a permit, and waits until `deadline` for one.  Returns whether it has taken one.  Callable from any green thread.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; no permit was taken then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        if tryAcquire() { return true }
        let thread = ownThread()
        switch thread.error(after: thread.wait(for: .permit, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return false
        case let error?: throw error
        }
    }

    /// Gives a permit back: to the green thread that has waited longest, if one waits.  Never waits.  There may be more permits than at the beginning.
    public func release() {
        checkOwner()
        if let next = waiting.first { return next.wake(.event) }
        available += 1
        announce()
    }
}

extension GreenSemaphore: ReadinessSource {
    var isReady: Bool { available > 0 }
}

@available(*, unavailable)
extension GreenSemaphore: Sendable {}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension GreenSemaphore {
    /// Runs `body` with a permit, which it releases however `body` ends.  Callable from any green thread.
    ///
    /// Throws `WaitError` as `acquire()` does; `body` does not run then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withPermit<Value>(_ body: () throws(WaitError) -> Value) throws(WaitError) -> Value {
        try acquire()
        defer { release() }
        return try body()
    }

    /// As the other `withPermit`, for a `body` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withPermit<Value>(_ body: () throws -> Value) throws -> Value {
        try acquire()
        defer { release() }
        return try body()
    }
}
