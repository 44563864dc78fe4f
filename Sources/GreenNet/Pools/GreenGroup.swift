/// Runs `body`, which may spawn green threads into the group, and waits until all of them have ended.  Callable from any green thread.
///
/// No member outlives the call.  The first error, of `body` or of a member, kills all other members and ends the wait of `body`; it is thrown when all
/// have unwound.  The same happens when the caller is killed or an enclosing time limit is over.  A killed member is no failure.  A later error is
/// reported to `Hub.onUnobservedFailure`.
///
/// Throws what `body` or a member throws, and `WaitError`: the type is `any Error`, for members can throw any type.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func withGreenGroup<Value>(_ body: (GreenGroup) throws -> Value) throws -> Value {
    try withGreenGroup(places: nil, body)
}

/// As the other `withGreenGroup`, with at most `limit` members whose bodies run at a time, first come, first served.
///
///     try withGreenGroup(limit: 10) { group in
///         for address in addresses { group.spawn { try check(address) } }
///     }
///
/// `spawn` waits until there is a place, so that a long list needs no more stacks than `limit`.  Where its caller is killed, its time is over or a member has failed
/// meanwhile, it returns a green thread that is killed before it begins, and the caller's next wait throws.  Called by a member of the group, `spawn` does not wait, and the new
/// member does instead: all members might wait for each other's places otherwise.
///
/// - `limit`: 1 or more.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func withGreenGroup<Value>(limit: Int, _ body: (GreenGroup) throws -> Value) throws -> Value {
    require(limit >= 1, "a group of at most \(limit) green threads: it takes 1 or more")
    return try withGreenGroup(places: GreenSemaphore(limit), body)
}

private func withGreenGroup<Value>(places: GreenSemaphore?, _ body: (GreenGroup) throws -> Value) throws -> Value {
    let thread = Hub.currentThread
    let scope = TimeScope.open(on: thread, limit: nil)
    let group = GreenGroup(scope, places)
    let outcome = Result<Value, any Error> {
        let value = try body(group)
        try group.join()
        return value
    }
    if case .failure(let error) = outcome { group.fail(error) }
    group.end()
    scope.close()
    if let error = group.firstError { throw error }
    return try outcome.get()
}

/// Green threads that end together.  `withGreenGroup` makes it, and it is valid inside its body only.
public final class GreenGroup: HubObject {
    private let scope: TimeScope
    var owner = Owner.here
    private var members: [ObjectIdentifier: AnyGreenlet] = [:]
    private let empty = GreenEvent()
    /// One for each member that may run now; nil where the group has no limit.
    private let places: GreenSemaphore?
    private var hasEnded = false
    fileprivate var firstError: (any Error)?

    fileprivate init(_ scope: TimeScope, _ places: GreenSemaphore?) {
        (self.scope, self.places) = (scope, places)
        empty.set()
    }

    /// How many members have not ended.
    public var count: Int { members.count }

    /// Runs `body` on a new green thread of the group; otherwise as `GreenNet.spawn`.  After the first error, a new member is killed before it begins.
    ///
    /// Callable from any green thread of the same OS thread while `withGreenGroup` runs.  Never waits, unless the group has a limit.
    @discardableResult
    public func spawn<Value>(
        name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @escaping () throws -> Value
    ) -> Greenlet<Value> {
        checkOwner()
        require(!hasEnded, "a green thread is spawned into a group that has ended")
        if let places { return spawn(in: places, name, stackSize, fileID, line, body) }
        let greenlet = GreenNet.spawn(name: name, stackSize: stackSize, fileID: fileID, line: line, body)
        adopt(greenlet)
        return greenlet
    }

    private func spawn<Value>(
        in places: GreenSemaphore, _ name: String?, _ stackSize: Int?, _ fileID: StaticString, _ line: UInt,
        _ body: @escaping () throws -> Value
    ) -> Greenlet<Value> {
        if members[ObjectIdentifier(Greenlet.current)] != nil {
            let greenlet = GreenNet.spawn(name: name, stackSize: stackSize, fileID: fileID, line: line) {
                try places.withPermit(body)
            }
            adopt(greenlet)
            return greenlet
        }
        let hasPlace: Void? = try? places.acquire()
        let greenlet = GreenNet.spawn(name: name, stackSize: stackSize, fileID: fileID, line: line, body)
        if hasEnded {
            // The group did not wait for the caller, which is no member.
            if hasPlace != nil { places.release() }
            greenlet.kill()
            return greenlet
        }
        adopt(greenlet)
        if hasPlace == nil { greenlet.kill() } else { releasePlace(at: greenlet) }
        return greenlet
    }

    /// At the end of `greenlet`, even if it never begins.
    private func releasePlace(at greenlet: AnyGreenlet) {
        if greenlet.hasEnded { return places!.release() }
        _ = greenlet.observe { [places] in places!.release() }
    }

    private func adopt(_ greenlet: AnyGreenlet) {
        if greenlet.hasEnded { return memberEnded(greenlet) }
        members[ObjectIdentifier(greenlet)] = greenlet
        empty.clear()
        _ = greenlet.observe { [unowned greenlet] in self.memberEnded(greenlet) }
        if firstError != nil { greenlet.kill() }
    }

    private func memberEnded(_ greenlet: AnyGreenlet) {
        members[ObjectIdentifier(greenlet)] = nil
        if firstError == nil, greenlet.state == .failed, let error = greenlet.failure {
            greenlet.isObserved = true
            fail(error)
        }
        if members.isEmpty { empty.set() }
    }

    /// Waits until all members have ended, at most until `deadline`.  Returns whether they have.  To be called in the body of `withGreenGroup`.
    ///
    /// Throws when the caller is killed, when an enclosing time limit is over, and `WaitError.cancelled` when a member has failed.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        checkOwner()
        // A member may have been spawned since the event.
        while !members.isEmpty { guard try empty.wait(until: deadline) else { return false } }
        return true
    }

    /// Kills all members.  Never waits.
    public func kill(throwing error: any Error = GreenletExit()) {
        checkOwner()
        for greenlet in members.values.sorted(by: { $0.id < $1.id }) { greenlet.kill(throwing: error) }
    }

    /// The first error counts.
    fileprivate func fail(_ error: any Error) {
        guard firstError == nil else { return }
        firstError = error
        kill()
        scope.expire()
    }

    /// Returns when all members have ended.
    fileprivate func end() {
        do {
            try shielded { _ = try join() }
        } catch {
            fatalError("GreenNet: members of a group don't end: \(error)")
        }
        hasEnded = true
    }
}

@available(*, unavailable)
extension GreenGroup: Sendable {}
