/// Green threads of which at most so many run at a time: whoever spawns one more waits until another has ended.
///
/// Belongs to its OS thread.
public final class GreenPool {
    /// How many may run at a time.
    public let limit: Int
    private let places: GreenSemaphore
    private var members: [ObjectIdentifier: AnyGreenlet] = [:]
    private let empty = GreenEvent()

    /// A pool of at most `limit` green threads; with 0, nobody can ever spawn.
    public init(limit: Int) {
        require(limit >= 0, "a pool of \(limit) green threads")
        self.limit = limit
        places = GreenSemaphore(limit)
        empty.set()
    }

    /// How many have not ended.
    public var count: Int { members.count }

    /// How many more could be spawned without a wait.
    public var free: Int { places.available }

    /// Waits for a place until `deadline`, then runs `body` on a green thread; else as `GreenNet.spawn`.  First come, first served.
    ///
    /// Throws `WaitError.deadlinePassed` where there was no place by `deadline`, and when killed or when an enclosing time limit is over; nothing was
    /// spawned then.
    @discardableResult
    public func spawn<Value>(
        name: String? = nil, until deadline: Deadline = .never, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @escaping () throws -> Value
    ) throws(WaitError) -> Greenlet<Value> {
        guard try places.acquire(until: deadline) else { throw .deadlinePassed }
        let greenlet = GreenNet.spawn(name: name, fileID: fileID, line: line, body)
        adopt(greenlet)
        return greenlet
    }

    /// With a place taken, which is free again when the green thread has ended, also where it has never begun.
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

    /// Waits until none runs, at most until `deadline`.  Returns whether that was so.  Throws when killed or when an enclosing time limit is
    /// over.
    @discardableResult
    public func join(until deadline: Deadline = .never) throws(WaitError) -> Bool { try empty.wait(until: deadline) }

    /// Kills all that run, and waits until they have ended, at most until `deadline`.  Returns whether all have.
    /// Throws when killed itself or when an enclosing time limit is over.
    @discardableResult
    public func kill(
        throwing error: any Error = GreenletExit(), until deadline: Deadline = .never
    ) throws(WaitError) -> Bool {
        try killAll(members.values.sorted { $0.id < $1.id }, throwing: error, until: deadline)
    }

    // MARK: Many at once

    /// Calls `transform` with each item, in green threads of the pool, and returns what it returned, in the order of the items.
    ///
    /// The first error kills the rest and is thrown, when they have unwound; so it is where the caller is killed or its time is over.  Called by a
    /// member of the pool, it does one item after the other itself, for the place that it would wait for may be its own.
    public func map<Item, Output>(
        _ items: some Sequence<Item>, _ transform: @escaping (Item) throws -> Output
    ) throws -> [Output] {
        var outputs: [Int: Output] = [:]
        try forEach(items.enumerated()) { index, item in outputs[index] = try transform(item) }
        return (0..<outputs.count).map { outputs[$0]! }
    }

    /// As `map`, in the order in which the calls have returned.
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

    /// What `transform` ends with for each item, value or error, in the order of the items, each as it is asked for.
    ///
    /// An error ends its own item only.  At most `limit` calls are begun whose ends were not taken yet, so that whoever takes them slowly bounds what is
    /// begun.  Dropped or closed before the end, it kills those that run.  Not for members of the pool.
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

    /// Calls `body` with each item, in green threads of the pool, and returns when all calls have.  Errors are as `map` has them.
    public func forEach<Item>(_ items: some Sequence<Item>, _ body: @escaping (Item) throws -> Void) throws {
        if members[ObjectIdentifier(Greenlet.current)] != nil {
            for item in items { try body(item) }
            return
        }
        try withGreenGroup { group in
            for item in items {
                try places.acquire()
                adopt(group.spawn { try body(item) })
            }
        }
    }
}

@available(*, unavailable)
extension GreenPool: Sendable {}
