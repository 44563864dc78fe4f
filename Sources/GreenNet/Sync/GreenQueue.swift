/// A queue of items, which some green threads put and others take.
///
/// `GreenQueue()` is first in, first out; `.lifo()` gives the youngest item first, `.priority()` the least.  With a limit, `put` waits while the queue is full.
/// Green threads that wait are served first come, first served.  An item that is put belongs to the green thread that waits for it from that
/// moment on, so that a later kill or deadline loses no item.  For one OS thread: see <doc:WithAsyncCode>; `RemoteChannel` connects OS threads.
///
/// A call that does not have to wait does not let other green threads run: a loop that only calls `tryPut` fills the queue before any item is taken, and a loop
/// over a full queue empties it before any other green thread runs.  Where that takes too long, call `Greenlet.yield()` in the loop; see <doc:Fairness>.
public final class GreenQueue<Item>: Waitable {
    @exclusivity(unchecked)  // As below.
    var observers: [Observer] = []
    @exclusivity(unchecked)
    var owner = Owner()
    private let storage: QueueStorage<Item>
    // Raw memory: green threads are in these while they wait.  `QueueWaiters` says when.
    private let waiters = UnsafeMutablePointer<QueueWaiters>.allocate(capacity: 1)
    /// The slot of the green thread that last waited to take, for the next one.
    private var spareSlot: UnsafeMutablePointer<Item>?
    // Unchecked, here and below: nothing parks during such an access, and no code of the program runs.
    @exclusivity(unchecked)
    private var unfinished = 0

    /// How many items fit; nil for no limit.  It may change at any time: a higher limit lets waiting `put`s in, a lower one leaves the items where they are.
    @exclusivity(unchecked)
    public var limit: Int? {
        didSet {
            checkOwner()
            require(limit.map { $0 >= 0 } ?? true, "a queue for \(limit!) items")
            admitPutters()
        }
    }

    /// Whether `shutDown` was called: no item can be put any more.
    @exclusivity(unchecked)
    public private(set) var isShutDown = false

    /// A queue that gives the oldest item first.  A limit of 0 makes every `put` wait for a `take`.
    public convenience init(limit: Int? = nil) { self.init(limit: limit, FIFOStorage()) }

    private init(limit: Int?, _ storage: QueueStorage<Item>) {
        require(limit.map { $0 >= 0 } ?? true, "a queue for \(limit!) items")
        (self.limit, self.storage) = (limit, storage)
        waiters.initialize(to: QueueWaiters())
    }

    deinit {
        spareSlot?.deallocate()
        waiters.deallocate()
    }

    /// A queue that gives the youngest item first.
    public static func lifo(limit: Int? = nil) -> GreenQueue { GreenQueue(limit: limit, LIFOStorage()) }

    /// A queue that gives the item first that comes before all others; of equal items, the oldest.  `comesBefore` must neither wait nor use the queue.
    public static func priority(
        limit: Int? = nil, by comesBefore: @escaping (Item, Item) -> Bool
    ) -> GreenQueue {
        GreenQueue(limit: limit, PriorityStorage(comesBefore))
    }

    /// How many items are in the queue, without those of green threads that wait to put.
    public var count: Int { storage.count }

    /// Whether no item is in the queue.
    public var isEmpty: Bool { storage.count == 0 }

    /// Whether no further item fits.
    public var isFull: Bool { limit.map { storage.count >= $0 } ?? false }

    /// How many green threads wait to put, minus those that wait to take.
    public var balance: Int { waiters.putters.count - waiters.takers.count }

    /// Ready while an item can be taken, and once the queue is shut down.
    public var waitSource: WaitSource { WaitSource(self) }

    // MARK: Putting

    /// Puts `item` in; while the queue is full, waits for room until `deadline`.  Callable from any green thread.
    ///
    /// Throws `WaitError.closed` where the queue is shut down, `.deadlinePassed` where there was no room by `deadline`, and when the caller is killed or an
    /// enclosing time limit is over; `item` was not put then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func put(_ item: Item, until deadline: Deadline = .never) throws(WaitError) {
        if try putNow(item) { return }
        show(item)
        let thread = ownThread()
        let wake = withUnsafePointer(to: item) { slot in
            // An observer of the queue can take the item from this slot.
            announce()
            return thread.wait(for: .room, UInt64(UInt(bitPattern: slot)), until: deadline, in: waiters.putters)
        }
        if let error = thread.error(after: wake) { throw error }
    }

    /// Puts `item` in if there is room, or a green thread that waits to take; returns whether it did.  Never waits.
    ///
    /// Throws `WaitError.closed` where the queue is shut down.
    public func tryPut(_ item: Item) throws(WaitError) -> Bool { try putNow(item) }

    private func putNow(_ item: Item) throws(WaitError) -> Bool {
        checkOwner()
        if isShutDown { throw .closed }
        if let taker = waiters.takers.first {
            show(item)
            unfinished += 1
            taker.waitAddress(of: Item.self).initialize(to: item)
            taker.wake(.event)
            return true
        }
        guard !isFull else { return false }
        show(item)
        keep(item)
        return true
    }

    private func keep(_ item: Item) {
        unfinished += 1
        storage.push(item)
        announce()
    }

    // MARK: Taking

    /// Takes the next item; while the queue is empty, waits for one until `deadline`.  Callable from any green thread.
    ///
    /// Throws `WaitError.closed` where the queue is shut down and empty, `.deadlinePassed` where no item came by `deadline`, and when the caller is killed or
    /// an enclosing time limit is over; nothing was taken then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func take(until deadline: Deadline = .never) throws(WaitError) -> Item {
        checkOwner()
        if canTake { return takeNow() }
        if isShutDown { throw .closed }
        return try wait(for: .item, until: deadline, in: waiters.takers)
    }

    /// As `take`, but returns nil where the queue is shut down and empty: `while let item = try queue.next()`.
    ///
    /// There is no `for` loop over a queue, for that can't throw: a kill would end it as the last item does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next(until deadline: Deadline = .never) throws(WaitError) -> Item? {
        do throws(WaitError) {
            return try take(until: deadline)
        } catch {
            guard error == .closed else { throw error }
            return nil
        }
    }

    /// Takes the next item; returns nil where the queue is empty.  Never waits.
    public func tryTake() -> Item? {
        checkOwner()
        return canTake ? takeNow() : nil
    }

    private var canTake: Bool { !isEmpty || !waiters.putters.isEmpty }

    private func takeNow() -> Item {
        // With a limit of 0, straight from the green thread that waits to put.
        guard !isEmpty else { return takeFromSlot(of: waiters.putters.first!) }
        let item = storage.pop()
        // The room is for the green thread that has waited longest.
        admitPutters()
        return item
    }

    private func takeFromSlot(of putter: GreenThread) -> Item {
        unfinished += 1
        let item: Item = putter.waitAddress(of: Item.self).pointee
        putter.wake(.event)
        return item
    }

    /// Returns the next item without taking it; while the queue is empty, waits for one until `deadline`.  Throws as `take` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func peek(until deadline: Deadline = .never) throws(WaitError) -> Item {
        checkOwner()
        if let item = tryPeek() { return item }
        if isShutDown { throw .closed }
        return try wait(for: .item, until: deadline, in: waiters.peekers)
    }

    /// Returns the next item without taking it; nil where the queue is empty.  Never waits.
    public func tryPeek() -> Item? {
        checkOwner()
        if !isEmpty { return storage.next }
        guard let putter = waiters.putters.first else { return nil }
        return putter.waitAddress(of: Item.self).pointee
    }

    /// Returns the item that was put into the slot of the running green thread.
    private func wait(
        for kind: WaitKind, until deadline: Deadline, in queue: WaitQueue
    ) throws(WaitError) -> Item {
        let thread = ownThread()
        let slot = spareSlot ?? .allocate(capacity: 1)
        spareSlot = nil
        defer { keepSlot(slot) }
        let wake = thread.wait(for: kind, UInt64(UInt(bitPattern: slot)), until: deadline, in: queue)
        if let error = thread.error(after: wake) { throw error }
        return slot.move()
    }

    private func keepSlot(_ slot: UnsafeMutablePointer<Item>) {
        if spareSlot == nil { spareSlot = slot } else { slot.deallocate() }
    }

    // MARK: Others

    private func admitPutters() {
        while !isFull, let putter = waiters.putters.first {
            keep(putter.waitAddress(of: Item.self).pointee)
            putter.wake(.event)
        }
    }

    /// Gives `item` to all green threads that wait in `peek`.
    private func show(_ item: Item) {
        while let peeker = waiters.peekers.first {
            peeker.waitAddress(of: Item.self).initialize(to: item)
            peeker.wake(.event)
        }
    }

    // MARK: Tasks

    /// How many items were put for which `taskDone()` was not called yet.
    public var unfinishedTasks: Int { unfinished }

    /// Marks the work on one item as done.  To be called once for each item; a further call stops the program.  Never waits.
    public func taskDone() {
        checkOwner()
        require(unfinished > 0, "taskDone() was called for more items than were put")
        unfinished -= 1
        if unfinished == 0 { waiters.joiners.wakeAll() }
    }

    /// Waits until `taskDone()` was called for every item, at most until `deadline`.  Returns whether it was.  Callable from any green thread.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func joinTasks(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if unfinished == 0 { return true }
        let thread = ownThread()
        switch thread.error(after: thread.wait(for: .tasks, until: deadline, in: waiters.joiners)) {
        case nil: return true
        case .deadlinePassed: return false
        case let error?: throw error
        }
    }

    // MARK: The end

    /// Shuts the queue down: no item can be put any more, and every `put` that waits throws `WaitError.closed`.  Never waits.
    ///
    /// The items that are in the queue can still be taken; with `atOnce`, they are dropped.  Once the queue is empty, `take` throws `WaitError.closed` too.
    public func shutDown(atOnce: Bool = false) {
        checkOwner()
        isShutDown = true
        waiters.putters.wakeAll(.closed)
        if atOnce { drop() }
        // If any of these wait, the queue is empty.
        waiters.takers.wakeAll(.closed)
        waiters.peekers.wakeAll(.closed)
        announce()
    }

    /// Items that were taken before still count as unfinished.
    private func drop() {
        while !isEmpty {
            _ = storage.pop()
            unfinished -= 1
        }
        if unfinished == 0 { waiters.joiners.wakeAll() }
    }
}

extension GreenQueue: ReadinessSource {
    var isReady: Bool { !isEmpty || !waiters.putters.isEmpty || isShutDown }
}

@available(*, unavailable)
extension GreenQueue: Sendable {}
