extension OffloadPool {
    /// Shuts the pool down, and waits until its calls have ended, also those that were given up, or until `deadline`.  Returns whether they have.
    ///
    /// Later calls of `run` and `submit` throw `OffloadError.shutDown`.  Calls that have not begun still have their turn; with `dropsQueued`, they end with `OffloadError.shutDown`
    /// instead.  An early end of the wait leaves the pool shut down, and the calls go on.  A second `shutDown` waits too, and may drop what the first one did not.
    /// Throws when the caller is killed or an enclosing time limit is over.  Callable from a green thread of any hub; in a call of the pool itself, it stops the
    /// program.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func shutDown(dropsQueued: Bool = false, until deadline: Deadline = .never) throws(WaitError) -> Bool {
        require(!runsCaller, "shutDown in a call of the same pool, for whose end it would wait")
        refuseCalls(dropsQueued: dropsQueued)
        return try waitUntilIdle(followers: false, until: deadline)
    }
}

/// Runs `body` with a pool of at most `limit` OS threads, and waits until all of its calls have ended.  Callable from any green thread.
///
///     try withOffloadPool(limit: 4) { pool in
///         for path in paths {
///             let call = try pool.submit { try shrink(path) }
///             call.onEnd { print(path, $0) }
///         }
///     }
///
/// When `body` has returned, calls and `onEnd` bodies may submit further calls, until all have ended; then the pool is shut down.  An error that `body` throws, or a kill or the
/// end of a time limit while this call waits, shuts the pool down at once: calls that have not begun end with `OffloadError.shutDown`.  It then waits for the
/// calls that run, which nothing can interrupt, and for the `onEnd` bodies, and throws.  The error of a call is thrown by `value()`, given to `onEnd`, or reported; it does not end
/// `body`.
///
/// Throws what `body` throws, and `WaitError`: the type is `any Error`.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func withOffloadPool<Value>(
    limit: Int, givenUpLimit: Int = 0, name: String = "offload", _ body: (OffloadPool) throws -> Value
) throws -> Value {
    let pool = OffloadPool(limit: limit, givenUpLimit: givenUpLimit, name: name)
    let outcome = Result {
        let value = try body(pool)
        _ = try pool.waitUntilIdle(followers: true)
        return value
    }
    pool.refuseCalls(dropsQueued: true)
    do {
        _ = try shielded { () throws(WaitError) in try pool.waitUntilIdle(followers: true) }
    } catch {
        fatalError("GreenNet: the calls of a pool don't end: \(error)")
    }
    return try outcome.get()
}
