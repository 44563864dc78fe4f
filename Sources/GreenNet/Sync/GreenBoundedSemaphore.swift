/// A semaphore that never has more permits than at the beginning: a `release` without an `acquire` stops the program.
///
/// Otherwise as `GreenSemaphore`.  For one OS thread: see <doc:WithAsyncCode>.
public final class GreenBoundedSemaphore: Waitable, HubObject {
    /// How many permits there are, held or not.
    public let limit: Int
    private let semaphore: GreenSemaphore

    var owner: Owner {
        get { semaphore.owner }
        set { semaphore.owner = newValue }
    }

    /// A semaphore with `permits` permits, all of them available.
    public init(_ permits: Int = 1) {
        limit = permits
        semaphore = GreenSemaphore(permits)
    }

    /// Ready while a permit is available.
    public var waitSource: WaitSource { semaphore.waitSource }

    /// Permits that no green thread holds.
    public var available: Int { semaphore.available }

    /// Takes a permit if one is available; returns whether it did.  Never waits.
    public func tryAcquire() -> Bool {
        checkOwner()
        return semaphore.tryAcquire()
    }

    /// Takes a permit, and waits until one is available.  Throws as `GreenSemaphore.acquire()` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire() throws(WaitError) {
        checkOwner()
        try semaphore.acquire()
    }

    /// Takes a permit, and waits until `deadline` for one.  Returns whether it has taken one.  Throws as `GreenSemaphore.acquire(until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        checkOwner()
        return try semaphore.acquire(until: deadline)
    }

    /// Gives a permit back: to the green thread that has waited longest, if one waits.  Never waits.
    public func release() {
        checkOwner()
        require(available < limit, "a permit was given back that no green thread holds: all \(limit) are there")
        semaphore.release()
    }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension GreenBoundedSemaphore {
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

@available(*, unavailable)
extension GreenBoundedSemaphore: Sendable {}
