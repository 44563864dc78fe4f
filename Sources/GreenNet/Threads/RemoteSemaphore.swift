/// So many permits, which the green threads of several hubs take and give back.
///
/// As `GreenSemaphore`: first come, first served, and fair.  A permit that is given back while somebody waits belongs to whoever has waited longest from that
/// moment, also where a kill or a deadline comes before it runs.  With one permit it is a lock for several OS threads.
public final class RemoteSemaphore: Sendable {
    /// Each item is a permit that is free.
    private let permits = RemoteChannel<Void>()

    /// Begins with so many permits; with none, until the first `release`.
    public init(_ permits: Int = 1) {
        require(permits >= 0, "a semaphore with \(permits) permits")
        for _ in 0..<permits { release() }
    }

    /// Permits that nobody has.  From any OS thread.
    public var available: Int { permits.count }

    /// Takes a permit, where one is left: without waiting.  From any OS thread.
    public func tryAcquire() -> Bool { permits.tryTake() != nil }

    /// Takes a permit, and waits for one where none is left.  From a green thread of any hub.  Throws when killed or when an enclosing time limit
    /// is over; no permit was taken then.
    public func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Takes a permit, and waits for one until `deadline` where none is left.  Returns whether it has one.  From a green thread of any hub.
    /// Throws when killed or when an enclosing time limit is over; no permit was taken then.
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        do throws(WaitError) {
            try permits.take(until: deadline)
            return true
        } catch {
            guard error == .deadlinePassed else { throw error }
            return false
        }
    }

    /// Gives a permit: to whoever has waited longest, where somebody waits.  From any OS thread; never waits.
    public func release() {
        // There is always room, and the channel is never closed.
        _ = try? permits.tryPut(())
    }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension RemoteSemaphore {
    /// Runs `body` with a permit, which it releases however `body` ends.  Callable from a green thread of any hub.
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
