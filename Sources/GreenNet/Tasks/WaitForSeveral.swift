/// Waits until one of `objects` is ready, and returns it: of those that are ready already, the first in the list, else the first in time.
/// Nil where `deadline` passes before, or where the list is empty.
///
/// Nothing is taken: whether a semaphore that was ready still has a permit, or a queue its item, is to be seen.
/// Throws when killed or when an enclosing time limit is over.  Callable from any green thread.
public func waitAny<Object: Waitable>(
    _ objects: [Object], until deadline: Deadline = .never
) throws(WaitError) -> Object? {
    let set = WaitSet(objects)
    defer { set.stop() }
    return try set.nextOrNil(until: deadline)
}

/// Calls `body` with each of `objects`, one at a time, in the order in which they become ready.  Returns whether all were ready by `deadline`.
///
/// `body` may wait; meanwhile further objects become ready.  Throws `WaitError` when the caller is killed or an enclosing time limit is over; no
/// further call is made then.  Callable from any green thread.
@discardableResult
public func iterateReady<Object: Waitable>(
    _ objects: [Object], until deadline: Deadline = .never, _ body: (Object) throws(WaitError) -> Void
) throws(WaitError) -> Bool {
    let set = WaitSet(objects)
    defer { set.stop() }
    while let object = try set.nextOrNil(until: deadline) { try body(object) }
    return set.isDone
}

/// As the other `iterateReady`, for a `body` that throws errors of its own.  They come out as they are, and no further call is made then.
@discardableResult
public func iterateReady<Object: Waitable>(
    _ objects: [Object], until deadline: Deadline = .never, _ body: (Object) throws -> Void
) throws -> Bool {
    let set = WaitSet(objects)
    defer { set.stop() }
    while let object = try set.nextOrNil(until: deadline) { try body(object) }
    return set.isDone
}

/// Waits until `count` of `objects` (by default all) are ready, at most until `deadline`, and returns the ready ones in the order in which they
/// became ready.
///
/// Throws `WaitError` when the caller is killed or an enclosing time limit is over, and never what the objects ended with.  Callable from any green
/// thread.
@discardableResult
public func joinAll<Object: Waitable>(
    _ objects: [Object], count: Int = .max, until deadline: Deadline = .never
) throws(WaitError) -> [Object] {
    require(count >= 0, "joinAll with a count of \(count)")
    let set = WaitSet(objects)
    defer { set.stop() }
    var ready: [Object] = []
    while ready.count < count, let object = try set.nextOrNil(until: deadline) { ready.append(object) }
    return ready
}

/// As the other `joinAll`; but with `throwing`, the first object that ends with an error ends the call, which throws that error.
///
/// The error of a plain kill, `GreenletExit`, does not count.  Throws `WaitError` too, as the other `joinAll` does.
@discardableResult
public func joinAll<Object: Waitable>(
    _ objects: [Object], count: Int = .max, until deadline: Deadline = .never, throwing: Bool
) throws -> [Object] {
    require(count >= 0, "joinAll with a count of \(count)")
    let set = WaitSet(objects)
    defer { set.stop() }
    var ready: [Object] = []
    while ready.count < count, let object = try set.nextOrNil(until: deadline) {
        if throwing, let error = object.failure, !(error is GreenletExit) { throw error }
        ready.append(object)
    }
    return ready
}

/// Kills all of `greenlets`, then waits until they have ended, at most until `deadline`.  Returns whether all have.
///
/// Those that have not begun never will.  Throws when killed itself or when an enclosing time limit is over; those it has killed stay so.
@discardableResult
public func killAll(
    _ greenlets: [AnyGreenlet], throwing error: any Error = GreenletExit(), until deadline: Deadline = .never
) throws(WaitError) -> Bool {
    for greenlet in greenlets { greenlet.kill(throwing: error) }
    for greenlet in greenlets where try !greenlet.join(until: deadline) { return false }
    return true
}

extension WaitSet {
    /// Nil also where `deadline` has passed.
    fileprivate func nextOrNil(until deadline: Deadline) throws(WaitError) -> Object? {
        do throws(WaitError) {
            return try next(until: deadline)
        } catch {
            guard error == .deadlinePassed else { throw error }
            return nil
        }
    }
}
