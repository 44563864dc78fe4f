/// Names one `withTimeout` among the nested ones.
public struct TimeLimit: Hashable, Sendable {
    let number: UInt64
    /// The duration that was given to `withTimeout`.
    public let duration: Duration
}

/// A `withTimeout` or a `withGreenGroup` under way on one green thread.  Raw memory, since parked waits refer to it.
struct TimeScope: Equatable {
    private struct Fields {
        let thread: GreenThread
        /// Nil for a group's, which has no time limit; it is over when a member has failed.
        let limit: TimeLimit?
        var deadline: Deadline
        let outer: TimeScope?
    }

    private let fields: UnsafeMutablePointer<Fields>

    /// For the record of the green thread.
    var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(fields) }

    init(_ address: UnsafeMutableRawPointer) { fields = address.assumingMemoryBound(to: Fields.self) }

    /// All waits of `thread`, the running green thread, are inside it until it is closed.
    static func open(on thread: GreenThread, limit: TimeLimit?, deadline: Deadline = .never) -> TimeScope {
        let fields = UnsafeMutablePointer<Fields>.allocate(capacity: 1)
        fields.initialize(to: Fields(thread: thread, limit: limit, deadline: deadline, outer: thread.scope))
        let scope = TimeScope(UnsafeMutableRawPointer(fields))
        thread.scope = scope
        thread.scopeDeadline = min(thread.scopeDeadline, deadline)
        return scope
    }

    /// It is the innermost scope.
    func close() {
        let thread = fields.pointee.thread
        thread.scope = fields.pointee.outer
        thread.scopeDeadline = .nearest(of: thread.scope)
        fields.deinitialize(count: 1)
        fields.deallocate()
    }

    /// Its time is over now: the wait under way and every later one inside throws.  Not inside `shielded`, until that is left.
    func expire() {
        fields.pointee.deadline = Deadline(nanoseconds: .min)
        let thread = fields.pointee.thread
        guard let innermost = thread.scope, innermost.andOuter.contains(self) else { return }
        thread.scopeDeadline = Deadline(nanoseconds: .min)
        thread.wake(.deadline)
    }

    /// What a wait inside throws at `now`; nil while there is time.  It names the outermost limit that is over, for all inside that must unwind.
    func expiry(at now: Deadline) -> WaitError? {
        andOuter.reduce(nil) { error, scope in
            guard scope.fields.pointee.deadline <= now else { return error }
            return scope.fields.pointee.limit.map { .timedOut($0) } ?? .cancelled
        }
    }

    /// This scope and all around it, from the innermost to the outermost.
    fileprivate var andOuter: some Sequence<TimeScope> { sequence(first: self) { $0.fields.pointee.outer } }

    fileprivate var deadline: Deadline { fields.pointee.deadline }
}

extension Deadline {
    /// The earliest deadline of `scope` and all around it.
    static func nearest(of scope: TimeScope?) -> Deadline { scope?.andOuter.map(\.deadline).min() ?? .never }
}
