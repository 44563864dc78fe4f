extension GreenQueue: Sequence {
    /// Takes the next item, and waits for one.  Nil where the queue was shut down and nothing is left.
    /// Throws when killed or when an enclosing time limit is over; nothing was taken then.
    public final func next() throws(WaitError) -> Item? {
        do throws(WaitError) {
            return try take()
        } catch {
            guard error == .closed else { throw error }
            return nil
        }
    }

    /// For `for item in queue`, which takes what it gives, until the queue was shut down and nothing is left.
    ///
    /// Such a loop can't throw: it ends as well where the green thread is killed or its time is over, and then the next wait throws.
    public final func makeIterator() -> QueueIterator<Item> { QueueIterator(queue: self) }
}

/// Takes the items of a queue one after the other.
public struct QueueIterator<Item>: IteratorProtocol {
    let queue: GreenQueue<Item>

    /// As `GreenQueue.next()`, but nil where that throws.
    public func next() -> Item? { (try? queue.next()) ?? nil }
}
