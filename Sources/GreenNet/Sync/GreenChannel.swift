/// A queue without room: `put` waits until another green thread takes the item, and that green thread goes on first.
///
/// Both sides are served first come, first served.  For one OS thread: see <doc:WithAsyncCode>; `RemoteChannel` connects OS threads.
public final class GreenChannel<Item>: Waitable, HubObject {
    private let queue = GreenQueue<Item>(limit: 0)

    var owner: Owner {
        get { queue.owner }
        set { queue.owner = newValue }
    }

    /// A channel at which no green thread waits yet.
    public init() {}

    /// Ready while a green thread waits to put, and once the channel is shut down.
    public var waitSource: WaitSource { queue.waitSource }

    /// How many green threads wait to put, minus those that wait to take.
    public var balance: Int { queue.balance }

    /// Whether `shutDown()` was called.
    public var isShutDown: Bool { queue.isShutDown }

    /// Gives `item` to a green thread that takes it, and waits for that until `deadline`.  Callable from any green thread.
    ///
    /// Throws `WaitError.closed` where the channel is shut down.  Where no green thread waits to take, throws `.deadlinePassed` where none took `item` by
    /// `deadline`, and when the caller is killed or an enclosing time limit is over; `item` was not taken then.  Where a green thread waits to take, it gets
    /// `item`, also from a killed caller.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func put(_ item: Item, until deadline: Deadline = .never) throws(WaitError) {
        guard try tryPut(item) else { return try queue.put(item, until: deadline) }
        Hub.currentThread.giveWay()
    }

    /// Gives `item` to a green thread that waits to take; returns false where there is none.  Never waits.
    ///
    /// Throws `WaitError.closed` where the channel is shut down.
    public func tryPut(_ item: Item) throws(WaitError) -> Bool {
        checkOwner()
        return try queue.tryPut(item)
    }

    /// Takes an item, and waits until `deadline` for a green thread that puts one.  Callable from any green thread.
    ///
    /// Throws `WaitError.closed` where the channel is shut down, `.deadlinePassed` where no item came by `deadline`, and when the caller is killed or
    /// an enclosing time limit is over; nothing was taken then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func take(until deadline: Deadline = .never) throws(WaitError) -> Item {
        checkOwner()
        return try queue.take(until: deadline)
    }

    /// As `take`, but returns nil where the channel is shut down: `while let item = try channel.next()`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next(until deadline: Deadline = .never) throws(WaitError) -> Item? {
        checkOwner()
        return try queue.next(until: deadline)
    }

    /// Takes the item of the green thread that has waited longest to put; nil where there is none.  Never waits.
    public func tryTake() -> Item? {
        checkOwner()
        return queue.tryTake()
    }

    /// Returns the item of the green thread that has waited longest to put, without taking it; waits for one until `deadline`.  Throws as `take` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func peek(until deadline: Deadline = .never) throws(WaitError) -> Item {
        checkOwner()
        return try queue.peek(until: deadline)
    }

    /// As `peek`, but returns nil where no green thread waits to put.  Never waits.
    public func tryPeek() -> Item? {
        checkOwner()
        return queue.tryPeek()
    }

    /// No item can be put or taken any more: every wait at the channel, and every further call, throws `WaitError.closed`.  Never waits.
    public func shutDown() {
        checkOwner()
        queue.shutDown()
    }
}

@available(*, unavailable)
extension GreenChannel: Sendable {}
