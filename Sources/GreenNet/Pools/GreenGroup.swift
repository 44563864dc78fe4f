/// Runs `body`, which may spawn green threads into the group it is given, and waits until all of them have ended.
///
/// None outlives the call.  The first error, of `body` or of any of them, kills all the others and ends whatever `body` waits for; when all have unwound, it
/// is thrown.  The same happens where the caller is killed or its time is over.  A member that was killed is no failure.  An error that
/// comes later is reported as one that nobody asked for.  Callable from any green thread.
@discardableResult
public func withGreenGroup<Value>(_ body: (GreenGroup) throws -> Value) throws -> Value {
    let thread = Hub.currentThread
    let scope = TimeScope.open(on: thread, limit: nil)
    let group = GreenGroup(scope)
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

/// Green threads that belong together.  `withGreenGroup` makes it, and outside of its body it is of no use.
public final class GreenGroup {
    private let scope: TimeScope
    private var members: [ObjectIdentifier: AnyGreenlet] = [:]
    private let empty = GreenEvent()
    private var hasEnded = false
    fileprivate var firstError: (any Error)?

    fileprivate init(_ scope: TimeScope) {
        self.scope = scope
        empty.set()
    }

    /// How many have not ended.
    public var count: Int { members.count }

    /// Runs `body` on a green thread that belongs to the group; else as `GreenNet.spawn`.  One that comes after the first error is killed before it
    /// begins.
    @discardableResult
    public func spawn<Value>(
        name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line, _ body: @escaping () throws -> Value
    ) -> Greenlet<Value> {
        require(!hasEnded, "a green thread is spawned into a group that has ended")
        let greenlet = GreenNet.spawn(name: name, fileID: fileID, line: line, body)
        adopt(greenlet)
        return greenlet
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

    /// Waits until all members have ended, at most until `deadline`.  Returns whether they have.  Throws when killed, when an enclosing
    /// time limit is over, and when a member has failed.
    @discardableResult
    public func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        // One may have come since the event.
        while !members.isEmpty { guard try empty.wait(until: deadline) else { return false } }
        return true
    }

    /// Kills all members there are.  Never waits.
    public func kill(throwing error: any Error = GreenletExit()) {
        for greenlet in members.values.sorted(by: { $0.id < $1.id }) { greenlet.kill(throwing: error) }
    }

    /// The first one counts.
    fileprivate func fail(_ error: any Error) {
        guard firstError == nil else { return }
        firstError = error
        kill()
        scope.expire()
    }

    /// Nothing of it is left after that.
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
