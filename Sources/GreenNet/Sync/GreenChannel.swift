/// A queue without room: whoever puts waits for whoever takes, and the one that takes goes on first.
public final class GreenChannel<Item>: GreenQueue<Item> {
    /// A channel at which nobody waits yet.
    public init() { super.init(limit: 0, FIFOStorage()) }

    /// Gives `item` to whoever takes it, and waits for that until `deadline`.  Throws as `GreenQueue.put` does; `item` was not taken then.
    override public func put(_ item: Item, until deadline: Deadline = .never) throws(WaitError) {
        guard try tryPut(item) else { return try super.put(item, until: deadline) }
        Hub.currentThread.giveWay()
    }
}
