/// Waits until one of `objects` is ready, and returns it: of several that are ready already, the first in the list.  Nil where `deadline` passes
/// first, or where the list is empty.
///
/// Takes nothing: the caller then acquires the permit, or takes the item, and may find it gone.  Throws when the caller is killed or an enclosing time
/// limit is over.  Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func waitAny<Object: Waitable>(
    _ objects: [Object], until deadline: Deadline = .never
) throws(WaitError) -> Object? {
    let set = WaitSet(objects)
    defer { set.stop() }
    return try set.next(until: deadline).map { objects[$0] }
}

/// Calls `body` with each of `objects`, one at a time, in the order in which they become ready.  Returns whether all were ready by `deadline`.
///
/// `body` may wait; meanwhile further objects become ready.  Throws `WaitError` when the caller is killed or an enclosing time limit is over; no
/// further call is made then.  Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func iterateReady<Object: Waitable>(
    _ objects: [Object], until deadline: Deadline = .never, _ body: (Object) throws(WaitError) -> Void
) throws(WaitError) -> Bool {
    let set = WaitSet(objects)
    defer { set.stop() }
    while let index = try set.next(until: deadline) { try body(objects[index]) }
    return set.isDone
}

/// As the other `iterateReady`, for a `body` that throws errors of its own.  They come out as they are, and no further call is made then.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func iterateReady<Object: Waitable>(
    _ objects: [Object], until deadline: Deadline = .never, _ body: (Object) throws -> Void
) throws -> Bool {
    let set = WaitSet(objects)
    defer { set.stop() }
    while let index = try set.next(until: deadline) { try body(objects[index]) }
    return set.isDone
}

/// Waits until `count` of `objects` (by default all) are ready, at most until `deadline`, and returns the ready ones in the order in which they
/// became ready.
///
/// Throws `WaitError` when the caller is killed or an enclosing time limit is over, and never what the objects ended with.  Callable from any green
/// thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func joinAll<Object: Waitable>(
    _ objects: [Object], count: Int = .max, until deadline: Deadline = .never
) throws(WaitError) -> [Object] {
    try readyIndices(of: objects, count, deadline).map { objects[$0] }
}

/// As the other `joinAll`; but with `throwing`, the first object that ends with an error ends the call, which throws that error.
///
/// The error of a plain kill, `GreenletExit`, does not count.  Throws `WaitError` too, as the other `joinAll` does.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func joinAll<Object: Waitable>(
    _ objects: [Object], count: Int = .max, until deadline: Deadline = .never, throwing: Bool
) throws -> [Object] {
    try readyIndices(of: objects, count, deadline, throwing: throwing).map { objects[$0] }
}

// MARK: - Lists of objects of several kinds

// Less favoured than the calls above, so that a list of one kind gives objects of that kind.

/// As the other `waitAny`, for a list of objects of several kinds: `waitAny([event, queue])`.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@_disfavoredOverload
public func waitAny(
    _ objects: [any Waitable], until deadline: Deadline = .never
) throws(WaitError) -> (any Waitable)? {
    let set = WaitSet(objects)
    defer { set.stop() }
    return try set.next(until: deadline).map { objects[$0] }
}

/// As the other `iterateReady`, for a list of objects of several kinds.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@_disfavoredOverload
@discardableResult
public func iterateReady(
    _ objects: [any Waitable], until deadline: Deadline = .never, _ body: (any Waitable) throws -> Void
) throws -> Bool {
    let set = WaitSet(objects)
    defer { set.stop() }
    while let index = try set.next(until: deadline) { try body(objects[index]) }
    return set.isDone
}

/// As the other `joinAll`, for a list of objects of several kinds.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@_disfavoredOverload
@discardableResult
public func joinAll(
    _ objects: [any Waitable], count: Int = .max, until deadline: Deadline = .never
) throws(WaitError) -> [any Waitable] {
    try readyIndices(of: objects, count, deadline).map { objects[$0] }
}

/// As the other `joinAll` with `throwing`, for a list of objects of several kinds.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@_disfavoredOverload
@discardableResult
public func joinAll(
    _ objects: [any Waitable], count: Int = .max, until deadline: Deadline = .never, throwing: Bool
) throws -> [any Waitable] {
    try readyIndices(of: objects, count, deadline, throwing: throwing).map { objects[$0] }
}

// MARK: -

/// Kills all of `greenlets`, then waits until they have ended, at most until `deadline`.  Returns whether all have.
///
/// A green thread that has not begun never will.  Throws when the caller itself is killed or an enclosing time limit is over; the green threads stay
/// killed then.  Callable from any green thread of the same OS thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func killAll(
    _ greenlets: [AnyGreenlet], throwing error: any Error = GreenletExit(), until deadline: Deadline = .never
) throws(WaitError) -> Bool {
    for greenlet in greenlets { greenlet.kill(throwing: error) }
    for greenlet in greenlets where try !greenlet.join(until: deadline) { return false }
    return true
}

private func readyIndices(
    of objects: [any Waitable], _ count: Int, _ deadline: Deadline
) throws(WaitError) -> [Int] {
    require(count >= 0, "joinAll with a count of \(count)")
    let set = WaitSet(objects)
    defer { set.stop() }
    var ready: [Int] = []
    while ready.count < count, let index = try set.next(until: deadline) { ready.append(index) }
    return ready
}

private func readyIndices(
    of objects: [any Waitable], _ count: Int, _ deadline: Deadline, throwing: Bool
) throws -> [Int] {
    guard throwing else { return try readyIndices(of: objects, count, deadline) }
    require(count >= 0, "joinAll with a count of \(count)")
    let set = WaitSet(objects)
    defer { set.stop() }
    var ready: [Int] = []
    while ready.count < count, let index = try set.next(until: deadline) {
        if let error = objects[index].waitSource.object.failure, !(error is GreenletExit) { throw error }
        ready.append(index)
    }
    return ready
}
