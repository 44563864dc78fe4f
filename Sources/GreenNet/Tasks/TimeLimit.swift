/// Names one `withTimeout` among the nested ones.
public struct TimeLimit: Hashable, Sendable {
    let number: UInt64
    /// The duration that was given.
    public let duration: Duration
}

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
    let scope = thread.openScope(
        TimeoutScope(limit: limit, deadline: .after(duration), outer: thread.innermostScope))
    defer { thread.closeScope(scope) }
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
    let scopes = thread.pointee.scopes
    thread.pointee.shields += 1
    thread.pointee.scopes = nil
    thread.pointee.scope_deadline = Int64.max
    defer {
        thread.pointee.shields -= 1
        thread.pointee.scopes = scopes
        // Anew: one of them may have been ended meanwhile.
        thread.pointee.scope_deadline = thread.nearestScopeDeadline
    }
    return try body()
}

/// A `withTimeout` or a `withGreenGroup` under way.  Raw memory, since parked waits refer to it.
struct TimeoutScope {
    /// Nil for a group's, which has no time limit; it is over when a member has failed.
    let limit: TimeLimit?
    var deadline: Deadline
    let outer: UnsafeMutablePointer<TimeoutScope>?
}

extension GreenThread {
    func openScope(_ scope: TimeoutScope) -> UnsafeMutablePointer<TimeoutScope> {
        let memory = UnsafeMutablePointer<TimeoutScope>.allocate(capacity: 1)
        memory.initialize(to: scope)
        pointee.scopes = UnsafeMutableRawPointer(memory)
        pointee.scope_deadline = Swift.min(pointee.scope_deadline, scope.deadline.nanoseconds)
        return memory
    }

    func closeScope(_ scope: UnsafeMutablePointer<TimeoutScope>) {
        pointee.scopes = scope.pointee.outer.map { UnsafeMutableRawPointer($0) }
        pointee.scope_deadline = nearestScopeDeadline
        scope.deallocate()
    }

    /// Its time is over now: the wait under way and every later one inside throws.  Not inside `shielded`, until that is left.
    func expire(_ scope: UnsafeMutablePointer<TimeoutScope>) {
        scope.pointee.deadline = Deadline(nanoseconds: .min)
        guard scopes.contains(where: { $0 == scope }) else { return }
        pointee.scope_deadline = .min
        wake(.deadline)
    }

    var innermostScope: UnsafeMutablePointer<TimeoutScope>? {
        pointee.scopes?.assumingMemoryBound(to: TimeoutScope.self)
    }

    /// From the innermost to the outermost.
    private var scopes: some Sequence<UnsafeMutablePointer<TimeoutScope>> {
        sequence(state: innermostScope) { scope in
            defer { scope = scope?.pointee.outer }
            return scope
        }
    }

    fileprivate var nearestScopeDeadline: Int64 { scopes.map(\.pointee.deadline.nanoseconds).min() ?? Int64.max }

    /// What a wait throws where the time of an enclosing limit is over: it names the outermost one, for all that is inside must unwind.
    var expiry: WaitError? {
        let now = Deadline.now
        guard pointee.scope_deadline <= now.nanoseconds else { return nil }
        return scopes.reduce(nil) { error, scope in
            guard scope.pointee.deadline <= now else { return error }
            return scope.pointee.limit.map { .timedOut($0) } ?? .cancelled
        }
    }
}
