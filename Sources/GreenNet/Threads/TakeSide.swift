import Synchronization

/// The side of a channel from which items are taken: its own lock, so that an OS thread that takes and one that puts seldom meet.
///
/// Where it is empty, it gets all items of the other side at once.  It has the older items.  Its lock is locked before that of the channel.
@usableFromInline
final class TakeSide<Item: Sendable>: Sendable {
    /// The other side's object is not to lie in the same cache line.
    private let distance: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
    @usableFromInline
    let items = Mutex(Ring<Item>())
    /// How many items there are; changed under the lock.
    @usableFromInline
    let count = Atomic<Int>(0)
    /// A green thread or a task waits to put.  Sequentially consistent, as `count`: the one that waits sets this and looks at `count` once more, and the one that
    /// takes changes `count` and looks at this.  Else both might miss the other.
    @usableFromInline
    let isWanted = Atomic<Bool>(false)

    init() {}

    @inlinable
    @inline(__always)
    func locked<Answer: Sendable>(_ body: (inout Ring<Item>) -> Answer) -> Answer {
        items.withLock { items in
            Sanitizer.noteLock(of: self)
            defer { Sanitizer.noteUnlock(of: self) }
            return body(&items)
        }
    }

    /// Takes the oldest of `items`, which are not empty.
    @inlinable
    @inline(__always)
    func takeFirst(_ items: inout Ring<Item>) -> Item {
        let item = items.removeFirst()
        count.store(items.count, ordering: .sequentiallyConsistent)
        return item
    }
}
