/// A `withTimeout` that ran out of time.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
    /// Whose time it was.
    public let limit: TimeLimit

    /// As in `timed out after 0.5 seconds`.
    public var description: String { "timed out after \(limit.duration.text)" }
}

/// Runs `body` with `duration` as the time limit of all that it waits for, together.
///
/// When the time is over, the wait under way and every later one inside `body` throws, and so does this call: `TimedOut`.  Where
/// limits are nested, the outer one counts inside the inner one too, and each is reported by the `withTimeout` it belongs to.
/// A `body` that never waits is not interrupted; one that catches the error and returns gives its value.
/// Callable from any green thread.
public func withTimeout<Value>(_ duration: Duration, _ body: () throws -> Value) throws -> Value {
    let thread = Hub.currentThread
    let limit = TimeLimit(number: thread.hub.nextID(), duration: duration)
    let scope = TimeScope.open(on: thread, limit: limit, deadline: .after(duration))
    defer { scope.close() }
    do {
        return try body()
    } catch let error as any WaitEnding where error.waitError == .timedOut(limit) {
        throw TimedOut(limit: limit)
    }
}

/// Runs `body` so that neither a kill nor an enclosing time limit ends its waits: for cleaning up.  Both are felt again after it.
/// A `withTimeout` inside counts as usual.
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
