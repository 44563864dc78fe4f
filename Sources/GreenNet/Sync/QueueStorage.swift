/// The items of a queue, in the order in which it gives them.
class QueueStorage<Item> {
    var count: Int { fatalError("\(Self.self) has no count") }
    /// The item that `pop` would give.  As `pop`, only of a storage that is not empty.
    var next: Item { fatalError("\(Self.self) has no order") }
    func push(_ item: Item) { fatalError("\(Self.self) takes nothing") }
    func pop() -> Item { fatalError("\(Self.self) gives nothing") }
}

/// The oldest item first.
final class FIFOStorage<Item>: QueueStorage<Item> {
    @exclusivity(unchecked)  // as the queue's own properties
    private var items = Ring<Item>()

    override var count: Int { items.count }
    override var next: Item { items.oldest }
    override func push(_ item: Item) { items.append(item) }
    override func pop() -> Item { items.removeFirst() }
}

/// The youngest item first.
final class LIFOStorage<Item>: QueueStorage<Item> {
    private var items: [Item] = []

    override var count: Int { items.count }
    override var next: Item { items[items.count - 1] }
    override func push(_ item: Item) { items.append(item) }
    override func pop() -> Item { items.removeLast() }
}

/// The least item first; of equal items, the oldest.  A binary heap.
final class PriorityStorage<Item>: QueueStorage<Item> {
    private struct Entry {
        let item: Item
        /// How many items came before it.
        let number: UInt64
    }

    private var heap: [Entry] = []
    private var pushed: UInt64 = 0
    private let comesBefore: (Item, Item) -> Bool

    init(_ comesBefore: @escaping (Item, Item) -> Bool) { self.comesBefore = comesBefore }

    override var count: Int { heap.count }
    override var next: Item { heap[0].item }

    override func push(_ item: Item) {
        heap.append(Entry(item: item, number: pushed))
        pushed += 1
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    override func pop() -> Item {
        heap.swapAt(0, heap.count - 1)
        let item = heap.removeLast().item
        sink(0)
        return item
    }

    private func sink(_ start: Int) {
        var parent = start
        while 2 * parent + 1 < heap.count {
            var child = 2 * parent + 1
            if child + 1 < heap.count, precedes(child + 1, child) { child += 1 }
            if precedes(parent, child) { return }
            heap.swapAt(parent, child)
            parent = child
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        let (left, right) = (heap[left], heap[right])
        if comesBefore(left.item, right.item) { return true }
        return !comesBefore(right.item, left.item) && left.number < right.number
    }
}
