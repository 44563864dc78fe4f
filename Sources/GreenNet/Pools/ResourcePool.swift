/// A pool of resources that take time to make, such as connections to a database: each is lent to one green thread at a time, and used again.
///
///     let pool = ResourcePool(limit: 10) { try Connection.connect(toHost: "db", port: 5432) } isAlive: { !$0.hasEnded } drop: { $0.close() }
///     let answer = try pool.withResource { connection in try ask(connection) }
///
/// Never more than `limit` resources exist.  Green threads that wait for one are served first come, first served.  The resource that was used last is lent
/// first, so that those beyond what is needed idle out.  For one OS thread: see <doc:WithAsyncCode>.
public final class ResourcePool<Resource>: HubObject {
    /// How many resources may exist at a time.
    public let limit: Int
    /// How long a resource may go unused before it is dropped.
    public let idle: Duration

    @exclusivity(unchecked)  // Nothing parks during such an access.
    var owner = Owner()
    private let make: () throws -> Resource
    private let isAlive: (Resource) throws -> Bool
    /// What is shared with the green thread that drops idle resources, which does not keep the pool.
    private let store: ResourceStore<Resource>

    /// A pool that has no resource yet: `withResource` makes the first.
    ///
    /// - `limit`: 1 or more.
    /// - `idle`: a resource that no green thread has used for as long is dropped, also while nothing else happens.  With 0, each is dropped after its use.
    /// - `make`: makes a resource, and may wait.  Its error goes to the caller of `withResource` that needs the resource.
    /// - `isAlive`: asked before a resource is used again, and may wait.  Where it returns false or throws, the resource is dropped.
    /// - `drop`: called once with each resource that leaves the pool, by the green thread that has used it or one of the pool's own.  It may wait, unless that was
    ///   killed; the place of the resource is free when it has returned.  By default the pool only releases the resource, which is enough for one that frees what
    ///   it has in its `deinit`, as a `Connection` does.
    public init(
        limit: Int, make: @escaping () throws -> Resource, isAlive: @escaping (Resource) throws -> Bool = { _ in true },
        idle: Duration = .seconds(60), drop: @escaping (Resource) -> Void = { _ in }
    ) {
        require(limit >= 1, "a pool of \(limit) resources: it takes 1 or more")
        require(idle >= .zero, "a pool whose resources idle for \(idle): it takes 0 or more")
        (self.limit, self.idle, self.make, self.isAlive) = (limit, idle, make, isAlive)
        store = ResourceStore(places: limit, idle: idle, drop)
    }

    /// The idle resources are dropped, soon.
    deinit { store.close() }

    /// How many resources exist: idle ones, and those that are in use or being dropped.
    public var count: Int { store.count }

    /// How many resources wait to be used again.
    public var idleCount: Int { store.resting.count }

    /// Whether `close()` was called.
    public var isClosed: Bool { store.isClosed }

    /// Runs `body` with a resource that no other green thread has meanwhile, and returns what it returns.
    ///
    /// Waits until `deadline` for the caller's turn, and for a resource to be found alive or made.  `body` itself is not limited.  Where `body` throws, the resource is dropped, for it may be
    /// in the middle of something; so is that of a caller that was killed, and any resource once the pool is closed.
    ///
    /// Throws `WaitError.deadlinePassed` where there was no resource by `deadline`, `.closed` where the pool is closed, and when the caller is killed or an
    /// enclosing time limit is over; what `make` throws, and what `body` throws.  Callable from any green thread.  A `body` that uses the same pool may wait for
    /// its own resource.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withResource<Value>(
        until deadline: Deadline = .never, _ body: (Resource) throws -> Value
    ) throws -> Value {
        try takePlace(until: deadline)
        defer { store.giveBackPlace() }
        let resource = try limited(until: deadline) { try found() ?? made() }
        let outcome = Result { try body(resource) }
        guard case .success = outcome, !Hub.currentThread.isCancelled, store.keep(resource) else {
            store.drop(resource)
            return try outcome.get()
        }
        return try outcome.get()
    }

    /// Lends no resource any more: each `withResource` that waits, and each further one, throws `WaitError.closed`.  Drops the idle resources; those in use
    /// are dropped when they are given back.  Waits only where `drop` does.
    public func close() {
        checkOwner()
        store.close()
        store.waiting.wakeAll(.closed)
        store.dropResting()
    }

    // MARK: Places

    private func takePlace(until deadline: Deadline) throws(WaitError) {
        let thread = ownThread()
        if store.isClosed { throw .closed }
        try thread.throwIfInterrupted()
        if store.takePlace() { return }
        let wake = thread.wait(for: .permit, until: deadline, in: store.waiting)
        if let error = thread.error(after: wake) { throw error }
        // From here on, the place is this green thread's.
        if store.isClosed {
            store.giveBackPlace()
            throw .closed
        }
    }

    // MARK: Resources

    /// The idle resource that was used last and is alive, out of the store; nil where there is none.
    private func found() throws -> Resource? {
        while let resource = store.takeResting() {
            do {
                if try isAlive(resource), !store.isClosed { return resource }
                store.drop(resource)
            } catch {
                store.drop(resource)
            }
            // A kill, or the end of the time, must not look like a dead resource.
            try Hub.currentThread.throwIfInterrupted()
        }
        return nil
    }

    private func made() throws -> Resource {
        if store.isClosed { throw WaitError.closed }
        let resource = try make()
        store.count += 1
        if !store.isClosed { return resource }
        store.drop(resource)
        throw WaitError.closed
    }

    private func limited(until deadline: Deadline, _ body: () throws -> Resource) throws -> Resource {
        if deadline == .never { return try body() }
        return try GreenNet.limited(to: deadline - .now, orThrow: { _ in WaitError.deadlinePassed }, body)
    }
}

@available(*, unavailable)
extension ResourcePool: Sendable {}

/// The places of a pool, the resources that are not in use, and the green thread that drops those that idle for too long.
private final class ResourceStore<Resource> {
    private let idle: Duration
    private let onDrop: (Resource) -> Void
    /// Places that no green thread has.
    private var free: Int
    // Raw memory: green threads are in it while they wait, which they do only while no place is free.
    let waiting = WaitQueue.make()
    /// Resources that exist.
    var count = 0
    /// The one that was used last comes last.
    private(set) var resting: [(resource: Resource, until: Deadline)] = []
    private(set) var isClosed = false
    /// Lives while there are resting resources.
    private var reaper: Reaper<Resource>?

    init(places: Int, idle: Duration, _ onDrop: @escaping (Resource) -> Void) {
        (free, self.idle, self.onDrop) = (places, idle, onDrop)
    }

    deinit { waiting.deallocate() }

    // MARK: Places

    /// Returns false where none is free.
    func takePlace() -> Bool {
        guard free > 0 else { return false }
        free -= 1
        return true
    }

    /// It is that of the green thread that has waited longest, if one waits.
    func giveBackPlace() {
        if let next = waiting.first { next.wake(.event) } else { free += 1 }
    }

    // MARK: Resources

    func drop(_ resource: Resource) {
        onDrop(resource)
        count -= 1
    }

    /// Returns false where it is to be dropped.
    func keep(_ resource: Resource) -> Bool {
        guard !isClosed, idle > .zero, startReaper() else { return false }
        resting.append((resource, .after(idle)))
        return true
    }

    func takeResting() -> Resource? { resting.popLast()?.resource }

    func dropResting() { while let resource = takeResting() { drop(resource) } }

    /// Nothing is kept from now on; the reaper drops what is there.
    func close() {
        isClosed = true
        reaper?.look()
    }

    /// Returns false where no green thread can be had for it, or the hub closes.
    private func startReaper() -> Bool {
        if reaper == nil {
            let reaper = Reaper(of: self)
            reaper.beginAsDaemon(stackSize: nil)
            if !reaper.hasEnded { self.reaper = reaper }
        }
        return reaper.map { !$0.isKilled } ?? false
    }

    /// Each refers to the other meanwhile.
    fileprivate func reaperEnds() { reaper = nil }

    /// When the resource that idles longest is to be dropped; nil where none rests.
    fileprivate var nextDrop: Deadline? { isClosed ? resting.first.map { _ in .now } : resting.first?.until }

    /// Its place is taken meanwhile, so that no other resource is made before it is gone.  Returns false where no place is free: then green threads that have one
    /// are about to run, and to take what rests.
    fileprivate func dropFirst() -> Bool {
        guard takePlace() else { return false }
        drop(resting.removeFirst().resource)
        giveBackPlace()
        return true
    }
}

private final class Reaper<Resource>: AnyGreenlet {
    private let store: ResourceStore<Resource>
    private var sleeps = false

    init(of store: ResourceStore<Resource>) { self.store = store }

    override var name: String? { "idle resources" }

    /// Killed, before it begins too, it drops all.
    override func run() {
        defer { store.reaperEnds() }
        while let next = store.nextDrop {
            if !isKilled, !next.hasPassed { sleep(until: next) } else if !store.dropFirst() { thread!.giveWay() }
        }
    }

    private func sleep(until moment: Deadline) {
        sleeps = true
        defer { sleeps = false }
        // Whatever ends it, the store says what is to do.
        _ = thread!.wait(for: .sleep, until: moment)
    }

    /// Ends its sleep.
    func look() { if sleeps { thread?.wake(.event) } }
}
