/// Where green threads wait at a queue.  Nobody waits to take while there is something to take, and nobody to put while there is room.
struct QueueWaiters {
    /// With an item in hand, which stays there until they go on: whoever takes it copies it.
    var putters = WaitQueue()
    /// With an empty hand, as those who peek.
    var takers = WaitQueue()
    var peekers = WaitQueue()
    /// For all tasks to be done.
    var joiners = WaitQueue()
}

extension UnsafeMutablePointer<QueueWaiters> {
    var putters: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.putters) { $0 } }
    var takers: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.takers) { $0 } }
    var peekers: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.peekers) { $0 } }
    var joiners: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.joiners) { $0 } }
}

extension GreenThread {
    /// Where the item lies that this one holds out, or into which the one it waits for will be put: the detail of its wait says so.
    /// What has no size has no address either, and needs none.
    @inline(__always)
    func slot<Item>(of: Item.Type) -> UnsafeMutablePointer<Item> {
        let address = MemoryLayout<Item>.size == 0 ? UInt(MemoryLayout<Item>.alignment) : UInt(pointee.wait_detail)
        return UnsafeMutablePointer<Item>(bitPattern: address)!
    }
}
