/// Thrown by a `withTimeout` whose time is over.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
    /// The limit that ran out.
    public let limit: TimeLimit

    /// As in `timed out after 0.5 seconds`.
    public var description: String { "timed out after \(limit.duration.text)" }
}

extension TimedOut: WaitOutcome {
    /// True: the time of a `withTimeout` was over.
    public var isTimeout: Bool { true }
    /// False.
    public var isCancellation: Bool { false }
    /// False.
    public var isClosed: Bool { false }
}

/// Runs `body`, and limits all of its waits together to `duration`.  Callable from any green thread.
///
/// When the time is over, the wait under way and every later one inside `body` throws `WaitError.timedOut`; when that leaves `body`,
/// this call throws `TimedOut`.  Where limits are nested, the outer one counts inside the inner one too, and each `withTimeout`
/// reports its own.  A `body` that never waits is not interrupted; where `body` catches the error and returns, this call
/// returns its value.  When the green thread is killed, the waits inside `body` throw as they do outside.
///
/// Throws `TimedOut`, or what `body` throws.  The type is `any Error`, for it is one or the other: `error.isTimeout` tells them apart.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func withTimeout<Value>(_ duration: Duration, _ body: () throws -> Value) throws -> Value {
    try limited(to: duration, orThrow: { TimedOut(limit: $0) }, body)
}

/// As `withTimeout`, but throws what `timedOut` makes of the limit where its time is over: a caller tells its own limit from others of the same duration by it.
func limited<Value>(
    to duration: Duration, orThrow timedOut: (TimeLimit) -> any Error, _ body: () throws -> Value
) throws -> Value {
    let thread = Hub.currentThread
    let limit = TimeLimit(number: thread.scheduler.nextID(), duration: duration)
    let scope = TimeScope.open(on: thread, limit: limit, deadline: .after(duration))
    defer { scope.close() }
    do {
        return try body()
    } catch let error as any WaitEnding where error.waitError == .timedOut(limit) {
        throw timedOut(limit)
    }
}

/// Runs `body` so that neither a kill nor an enclosing time limit ends its waits: for cleaning up.  Callable from any green thread.
///
/// A kill or the end of a limit takes effect at the first wait after this call.  A deadline given to a call inside, and a
/// `withTimeout` inside, count as usual.  Throws what `body` throws.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func shielded<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
    let thread = Hub.currentThread
    let scope = thread.scope
    thread.shields += 1
    thread.scope = nil
    thread.scopeDeadline = .never
    defer {
        thread.shields -= 1
        thread.scope = scope
        // Anew: one of them may have been ended meanwhile.
        thread.scopeDeadline = .nearest(of: scope)
    }
    return try body()
}
