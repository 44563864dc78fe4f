/// One call of an `OffloadPool`.  It is made once, or never.
protocol OffloadJob: AnyObject, Sendable {
    /// Guarded by the pool's mutex.
    var stage: OffloadStage { get set }

    /// Makes the call.  Called once, on the OS thread that has moved it from `queued` to `running`.
    func perform()
    /// Releases what the call would have used.  Called once, by the code that has moved it from `queued` to `ended`.
    func drop()
    /// Tells what waits for the call that it has ended with `error`, unless it has ended.
    func fail(_ error: any Error)
}

enum OffloadStage {
    case queued, running
    /// It runs, and nothing waits for its end any more.
    case givenUp
    case ended
}

/// `body`, with the task-locals that are bound here bound in it.  Outside of a hub, where they can't be found, it is `body` itself.
func withTaskLocalsOfCaller<Value>(
    _ body: @escaping @Sendable () throws -> Value
) -> @Sendable () throws -> Value {
    guard let locals = Context.running?.scheduler.carryTaskLocals() else { return body }
    return { try locals.bound(body) }
}
