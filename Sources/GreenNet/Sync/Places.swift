/// Where green threads wait at a queue.  Nobody waits to take while there is something to take, and nobody to put while there is room.
struct Places {
    /// With an item in hand.
    var putters = WaitQueue()
    /// With an empty hand, as those who peek.
    var takers = WaitQueue()
    var peekers = WaitQueue()
    /// For all tasks to be done.
    var joiners = WaitQueue()
}

extension UnsafeMutablePointer<Places> {
    var putters: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.putters) { $0 } }
    var takers: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.takers) { $0 } }
    var peekers: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.peekers) { $0 } }
    var joiners: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.joiners) { $0 } }
}

// A green thread that waits at a queue has its hand on its own stack; while it waits, the detail of its wait says where.
extension GreenThread {
    private func hand<Item>(of: Item.Type) -> UnsafeMutablePointer<Item?> {
        UnsafeMutablePointer<Item?>(bitPattern: UInt(pointee.wait_detail))!
    }

    func hold<Item>(_ item: Item) { hand(of: Item.self).pointee = item }

    func held<Item>() -> Item? { hand(of: Item.self).pointee }

    /// Takes the item out of its hand.
    func letGo<Item>() -> Item {
        defer { hand(of: Item.self).pointee = nil }
        return held()!
    }
}
