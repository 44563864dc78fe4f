/// Names one `withTimeout` among the nested ones.
public struct TimeLimit: Hashable, Sendable {
    let number: UInt64
    /// The length that was given.
    public let length: Duration
}

/// A `withTimeout` that ran out of time.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
    /// Whose time it was.
    public let limit: TimeLimit

    /// As in `timed out after 0.5 seconds`.
    public var description: String { "timed out after \(limit.length)" }
}

/// Runs `body` with `length` as the time limit of all that it waits for, together.
///
/// When the time is over, the wait under way and every later one inside `body` throws, and so does this call: `TimedOut`.  Where
/// limits are nested, the outer one counts inside the inner one too, and each is reported by the `withTimeout` it belongs to.
/// A `body` that never waits is not interrupted; one that catches the error and returns gives its value.
/// Callable from any green thread.
public func withTimeout<Value>(_ length: Duration, _ body: () throws -> Value) throws -> Value {
    let thread = Hub.currentThread
    let scope = thread.openScope(length)
    defer { thread.closeScope(scope) }
    do {
        return try body()
    } catch let error as any WaitEnding where error.waitError == .timedOut(scope.pointee.limit) {
        throw TimedOut(limit: scope.pointee.limit)
    }
}

/// Runs `body` so that neither a kill nor an enclosing time limit ends its waits: for cleaning up.  Both are felt again after it.
/// A `withTimeout` inside counts as usual.
public func shielded<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
    let thread = Hub.currentThread
    let (scopes, deadline) = (thread.pointee.scopes, thread.pointee.scope_deadline)
    thread.pointee.shields += 1
    thread.pointee.scopes = nil
    thread.pointee.scope_deadline = Int64.max
    defer {
        thread.pointee.shields -= 1
        thread.pointee.scopes = scopes
        thread.pointee.scope_deadline = deadline
    }
    return try body()
}

/// A `withTimeout` under way.  Raw memory, since parked waits refer to it.
struct TimeoutScope {
    let limit: TimeLimit
    let deadline: Deadline
    let outer: UnsafeMutablePointer<TimeoutScope>?
    let outerDeadline: Int64
}

extension GreenThread {
    fileprivate func openScope(_ length: Duration) -> UnsafeMutablePointer<TimeoutScope> {
        let deadline = Deadline.after(length)
        let scope = UnsafeMutablePointer<TimeoutScope>.allocate(capacity: 1)
        scope.initialize(
            to: TimeoutScope(
                limit: TimeLimit(number: hub.nextID(), length: length),
                deadline: deadline, outer: innermostScope, outerDeadline: pointee.scope_deadline))
        pointee.scopes = UnsafeMutableRawPointer(scope)
        pointee.scope_deadline = Swift.min(pointee.scope_deadline, deadline.nanoseconds)
        return scope
    }

    fileprivate func closeScope(_ scope: UnsafeMutablePointer<TimeoutScope>) {
        pointee.scopes = scope.pointee.outer.map { UnsafeMutableRawPointer($0) }
        pointee.scope_deadline = scope.pointee.outerDeadline
        scope.deallocate()
    }

    private var innermostScope: UnsafeMutablePointer<TimeoutScope>? {
        pointee.scopes?.assumingMemoryBound(to: TimeoutScope.self)
    }

    /// The outermost of the enclosing limits whose time is over: it must unwind all that is inside.
    var expiredLimit: TimeLimit? {
        let now = Deadline.now
        guard pointee.scope_deadline <= now.nanoseconds else { return nil }
        var (scope, expired) = (innermostScope, TimeLimit?.none)
        while let current = scope {
            if current.pointee.deadline <= now { expired = current.pointee.limit }
            scope = current.pointee.outer
        }
        return expired
    }
}
