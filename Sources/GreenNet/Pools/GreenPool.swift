/// A pool of at most `limit` green threads: `spawn` waits until there is a place.
///
/// For one OS thread: see <doc:WithAsyncCode>.
public final class GreenPool: HubObject {
    /// How many members may run at a time.
    public let limit: Int
    /// The size of its members' stacks, in bytes, as it was asked for; nil: `Hub.defaultStackSize`.
    public let stackSize: Int?
    private let places: GreenSemaphore
    private var members: [ObjectIdentifier: AnyGreenlet] = [:]
    private let empty = GreenEvent(isSet: true)

    var owner: Owner {
        get { places.owner }
        set { places.owner = newValue }
    }

    /// A pool of at most `limit` green threads.  With 0, every `spawn` waits for ever.
    ///
    /// `stackSize` is that of all its members, those of `map` and the like too, as for `GreenNet.spawn`.
    public init(limit: Int, stackSize: Int? = nil) {
        require(limit >= 0, "a pool of \(limit) green threads")
        if let stackSize { StackClass.check(stackSize) }
        self.limit = limit
        self.stackSize = stackSize
        places = GreenSemaphore(limit)
    }

    /// How many members have not ended.
    public var count: Int { members.count }

    /// How many green threads could be spawned without a wait.
    public var free: Int { places.available }

    /// Waits for a place until `deadline`, then runs `body` on a new green thread; otherwise as `GreenNet.spawn`.  First come, first served.
    ///
    /// `stackSize` is that of this member; nil: the pool's.
    /// Throws `WaitError.deadlinePassed` where there was no place by `deadline`, and when the caller is killed or an enclosing time limit is over; no green
    /// thread was spawned then.  Callable from any green thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func spawn<Value>(
        name: String? = nil, stackSize: Int? = nil, until deadline: Deadline = .never,
        fileID: StaticString = #fileID, line: UInt = #line, _ body: @escaping () throws -> Value
    ) throws(WaitError) -> Greenlet<Value> {
        checkOwner()
        if let stackSize { StackClass.check(stackSize) }
        guard try places.acquire(until: deadline) else { throw .deadlinePassed }
        let greenlet = GreenNet.spawn(
            name: name, stackSize: stackSize ?? self.stackSize, fileID: fileID, line: line, body)
        adopt(greenlet)
        return greenlet
    }

    /// With a place taken, which is free again when the green thread has ended, even if it has never begun.
    private func adopt(_ greenlet: AnyGreenlet) {
        if greenlet.hasEnded { return places.release() }
        members[ObjectIdentifier(greenlet)] = greenlet
        empty.clear()
        _ = greenlet.observe { [unowned greenlet] in
            self.members[ObjectIdentifier(greenlet)] = nil
            self.places.release()
            if self.members.isEmpty { self.empty.set() }
        }
    }

    /// Waits until no member is left, at most until `deadline`.  Returns whether that is so.  Callable from any green thread that is no member.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        checkOwner()
        return try empty.wait(until: deadline)
    }

    /// Kills all members, and waits until they have ended, at most until `deadline`.  Returns whether all have.  Callable from any green thread that
    /// is no member.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; the members stay killed.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func kill(
        throwing error: any Error = GreenletExit(), until deadline: Deadline = .never
    ) throws(WaitError) -> Bool {
        checkOwner()
        return try killAll(members.values.sorted { $0.id < $1.id }, throwing: error, until: deadline)
    }

    // MARK: Many at once

    /// Calls `transform` with each item, in green threads of the pool, and returns the values in the order of the items.  Callable from any green thread.
    ///
    /// The first error kills the other calls, and is thrown when they have unwound; the same happens when the caller is killed or an enclosing time limit
    /// is over.  The type is `any Error`, for `transform` can throw any type.  A member of the pool that calls `map` runs one item after the other itself,
    /// on its own stack, for it might wait for its own place.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable  // here and below: only the caller's code knows the types of items and values as it is compiled
    public func map<Item, Output>(
        _ items: some Sequence<Item>, _ transform: @escaping (Item) throws -> Output
    ) throws -> [Output] {
        var outputs: [Output?] = []
        try forEach(items.enumerated()) { index, item in
            let output = try transform(item)
            while outputs.count <= index { outputs.append(nil) }
            outputs[index] = output
        }
        return outputs.map { $0! }
    }

    /// As `map`, with the values in the order in which the calls have returned.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable
    public func mapUnordered<Item, Output>(
        _ items: some Sequence<Item>, _ transform: @escaping (Item) throws -> Output
    ) throws -> [Output] {
        var outputs: [Output] = []
        try forEach(items) { item in
            let output = try transform(item)
            outputs.append(output)
        }
        return outputs
    }

    /// Returns a generator of the values or errors of `transform`, in the order of the items.
    ///
    /// An error ends its own item only.  At most `limit` calls are begun whose results were not taken yet, so that a slow caller bounds the number of
    /// calls.  If the generator is released or closed before its end, it kills the calls that run.  Not to be called by a member of the pool.
    public func iterate<Item, Output>(
        _ items: some Sequence<Item>, _ transform: @escaping (Item) throws -> Output
    ) -> Generator<Result<Output, any Error>, Void> {
        Generator { out in
            var begun = Ring<Greenlet<Output>>()
            defer { while let greenlet = begun.popFirst() { greenlet.kill() } }
            func giveFirst() throws {
                // It stays in the ring while it runs, to be killed with the others.
                try begun.oldest.join()
                try out.yield(begun.removeFirst().result!)
            }
            for item in items {
                if begun.count > 0, begun.count == self.limit { try giveFirst() }
                begun.append(try self.spawn { try transform(item) })
            }
            while begun.count > 0 { try giveFirst() }
        }
    }

    /// Calls `body` with each item, in green threads of the pool, and returns when all calls have returned.  Throws as `map` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable
    public func forEach<Item>(_ items: some Sequence<Item>, _ body: @escaping (Item) throws -> Void) throws {
        if runsCaller {
            for item in items { try body(item) }
            return
        }
        try withGreenGroup { group in
            for item in items {
                try spawn(in: group) { try body(item) }
            }
        }
    }

    /// Whether a member calls.
    @usableFromInline
    var runsCaller: Bool {
        checkOwner()
        return members[ObjectIdentifier(Greenlet.current)] != nil
    }

    @usableFromInline
    func spawn(in group: GreenGroup, _ body: @escaping () throws -> Void) throws(WaitError) {
        try places.acquire()
        adopt(group.spawn(stackSize: stackSize, body))
    }
}

@available(*, unavailable)
extension GreenPool: Sendable {}
