/// Items on their way from green threads that put them to green threads that take them.
///
/// `GreenQueue()` gives the oldest first, `.lifo()` the youngest, `.priority()` the least.  With a limit, whoever puts into a full queue waits.
/// Both sides are served first come, first served.  An item goes from hand to hand: it belongs to the one that waits for it from the
/// moment it was put, so that a kill or a deadline that comes after that loses nothing.  Belongs to its OS thread.
///
/// A call that does not have to wait gives no way to the others: a loop that only calls `tryPut` fills the queue before anybody takes, and a loop
/// over a full queue empties it before anybody else runs.  Where that is too long, call `Greenlet.yield()` in the loop; see <doc:Fairness>.
public class GreenQueue<Item>: Waitable {
    private final let storage: QueueStorage<Item>
    // Raw memory: green threads stand in these while they wait.  `QueueWaiters` says when.
    private final let waiters = UnsafeMutablePointer<QueueWaiters>.allocate(capacity: 1)
    /// The open hand of whoever last waited to take, for the next one.
    private final var spareHand: UnsafeMutablePointer<Item>?
    // Unchecked, here and below: nothing parks during such an access, and nobody else's code runs.
    @exclusivity(unchecked)
    private final var unfinished = 0

    /// How many items fit; nil: as many as there is memory for.  It may change at any time: those who wait for room come in as far as there
    /// is some, and what is too much stays.
    @exclusivity(unchecked)
    public final var limit: Int? {
        didSet {
            require(limit.map { $0 >= 0 } ?? true, "a queue for \(limit!) items")
            admitPutters()
        }
    }

    /// Nothing can be put any more.
    @exclusivity(unchecked)
    public private(set) final var isShutDown = false

    /// A queue that gives the oldest item first.
    public convenience init(limit: Int? = nil) { self.init(limit: limit, FIFOStorage()) }

    init(limit: Int?, _ storage: QueueStorage<Item>) {
        require(limit.map { $0 >= 0 } ?? true, "a queue for \(limit!) items")
        (self.limit, self.storage) = (limit, storage)
        waiters.initialize(to: QueueWaiters())
    }

    deinit {
        spareHand?.deallocate()
        waiters.deallocate()
    }

    /// A queue that gives the youngest item first.
    public static func lifo(limit: Int? = nil) -> GreenQueue { GreenQueue(limit: limit, LIFOStorage()) }

    /// A queue that gives first what comes before the others; of several that are equal, the oldest.  `comesBefore` must not wait, nor use the queue.
    public static func priority(
        limit: Int? = nil, by comesBefore: @escaping (Item, Item) -> Bool
    ) -> GreenQueue {
        GreenQueue(limit: limit, PriorityStorage(comesBefore))
    }

    /// How many items could be taken without a wait, those aside that others hold out.
    public final var count: Int { storage.count }

    /// Whether nothing is in it.
    public final var isEmpty: Bool { storage.count == 0 }

    /// Whether one more does not fit.
    public final var isFull: Bool { limit.map { storage.count >= $0 } ?? false }

    /// How many wait to put, less those who wait to take.
    public final var balance: Int { waiters.putters.count - waiters.takers.count }

    override final var isReady: Bool { !isEmpty || !waiters.putters.isEmpty || isShutDown }

    // MARK: Putting

    /// Puts `item` in, and waits for room until `deadline` where there is none.
    ///
    /// Throws `WaitError.closed` where the queue was shut down, `.deadlinePassed` where there was no room by `deadline`, and when killed or when an
    /// enclosing time limit is over; `item` was not put then.
    public func put(_ item: Item, until deadline: Deadline = .never) throws(WaitError) {
        if try putNow(item) { return }
        show(item)
        let thread = Hub.currentThread
        let wake = withUnsafePointer(to: item) { hand in
            // Whoever looks out for the queue can take from this one's hand.
            announce()
            return thread.wait(for: .room, UInt64(UInt(bitPattern: hand)), until: deadline, in: waiters.putters)
        }
        if let error = thread.error(after: wake) { throw error }
    }

    /// Puts `item` in, where there is room or somebody waits for it: without waiting.  Throws `WaitError.closed` where the queue was shut down.
    public final func tryPut(_ item: Item) throws(WaitError) -> Bool { try putNow(item) }

    private final func putNow(_ item: Item) throws(WaitError) -> Bool {
        if isShutDown { throw .closed }
        if let taker = waiters.takers.first {
            show(item)
            unfinished += 1
            taker.slot(of: Item.self).initialize(to: item)
            taker.wake(.event)
            return true
        }
        guard !isFull else { return false }
        show(item)
        keep(item)
        return true
    }

    private final func keep(_ item: Item) {
        unfinished += 1
        storage.push(item)
        announce()
    }

    // MARK: Taking

    /// Takes the next item, and waits for one until `deadline` where there is none.
    ///
    /// Throws `WaitError.closed` where the queue was shut down and nothing is left, `.deadlinePassed` where nothing came by `deadline`, and when killed
    /// or when an enclosing time limit is over; nothing was taken then.
    public final func take(until deadline: Deadline = .never) throws(WaitError) -> Item {
        if canTake { return takeNow() }
        if isShutDown { throw .closed }
        return try wait(for: .item, until: deadline, in: waiters.takers)
    }

    /// Takes the next item, and waits for one until `deadline`; nil where the queue was shut down and nothing is left: `while let item = try queue.next()`.
    ///
    /// Throws `WaitError.deadlinePassed` where nothing came by `deadline`, and when killed, when an enclosing time limit is over or where nothing is left that
    /// could wake anybody; nothing was taken then.  There is no `for` loop over a queue, for that can't throw: it would end as if all were done.
    public final func next(until deadline: Deadline = .never) throws(WaitError) -> Item? {
        do throws(WaitError) {
            return try take(until: deadline)
        } catch {
            guard error == .closed else { throw error }
            return nil
        }
    }

    /// Takes the next item, where there is one: without waiting.
    public final func tryTake() -> Item? { canTake ? takeNow() : nil }

    private final var canTake: Bool { !isEmpty || !waiters.putters.isEmpty }

    private final func takeNow() -> Item {
        // In a queue with no room at all, straight from whoever waits to put.
        guard !isEmpty else { return takeFromHand(of: waiters.putters.first!) }
        let item = storage.pop()
        // The room is for whoever has waited longest.
        admitPutters()
        return item
    }

    private final func takeFromHand(of putter: GreenThread) -> Item {
        unfinished += 1
        let item: Item = putter.slot(of: Item.self).pointee
        putter.wake(.event)
        return item
    }

    /// The next item, which stays where it is; waits for one until `deadline` where there is none.  Throws as `take` does.
    public final func peek(until deadline: Deadline = .never) throws(WaitError) -> Item {
        if let item = tryPeek() { return item }
        if isShutDown { throw .closed }
        return try wait(for: .item, until: deadline, in: waiters.peekers)
    }

    /// The next item, which stays where it is; nil where there is none.
    public final func tryPeek() -> Item? {
        if !isEmpty { return storage.next }
        guard let putter = waiters.putters.first else { return nil }
        return putter.slot(of: Item.self).pointee
    }

    /// Returns what was put into the hand of the one that waits.
    private final func wait(
        for kind: WaitKind, until deadline: Deadline, in queue: WaitQueue
    ) throws(WaitError) -> Item {
        let thread = Hub.currentThread
        let hand = spareHand ?? .allocate(capacity: 1)
        spareHand = nil
        defer { keepHand(hand) }
        let wake = thread.wait(for: kind, UInt64(UInt(bitPattern: hand)), until: deadline, in: queue)
        if let error = thread.error(after: wake) { throw error }
        return hand.move()
    }

    private final func keepHand(_ hand: UnsafeMutablePointer<Item>) {
        if spareHand == nil { spareHand = hand } else { hand.deallocate() }
    }

    // MARK: Others

    private final func admitPutters() {
        while !isFull, let putter = waiters.putters.first {
            keep(putter.slot(of: Item.self).pointee)
            putter.wake(.event)
        }
    }

    /// To all who wait to see one.
    private final func show(_ item: Item) {
        while let peeker = waiters.peekers.first {
            peeker.slot(of: Item.self).initialize(to: item)
            peeker.wake(.event)
        }
    }

    // MARK: Tasks

    /// Items that were put and for which nobody has called `taskDone` yet.
    public final var unfinishedTasks: Int { unfinished }

    /// Says that what was to be done with an item is done.  Once for each item; more stop the program.  Never waits.
    public final func taskDone() {
        require(unfinished > 0, "taskDone() was called for more items than were put")
        unfinished -= 1
        if unfinished == 0 { waiters.joiners.wakeAll() }
    }

    /// Waits until `taskDone` was called for every item, at most until `deadline`.  Returns whether it was.  Throws when killed or when an enclosing
    /// time limit is over.
    @discardableResult
    public final func joinTasks(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if unfinished == 0 { return true }
        let thread = Hub.currentThread
        switch thread.error(after: thread.wait(for: .tasks, until: deadline, in: waiters.joiners)) {
        case nil: return true
        case .deadlinePassed: return false
        case let error?: throw error
        }
    }

    // MARK: The end

    /// Nothing can be put any more; whoever waits to do so is thrown `WaitError.closed`.  What is in the queue can still be taken, unless it is dropped
    /// `atOnce`; after that, to take throws it too.  Never waits.
    public final func shutDown(atOnce: Bool = false) {
        isShutDown = true
        waiters.putters.wakeAll(.closed)
        if atOnce { drop() }
        // Those wait for something in an empty queue.
        waiters.takers.wakeAll(.closed)
        waiters.peekers.wakeAll(.closed)
        announce()
    }

    /// What was taken before is still to be done.
    private final func drop() {
        while !isEmpty {
            _ = storage.pop()
            unfinished -= 1
        }
        if unfinished == 0 { waiters.joiners.wakeAll() }
    }
}
