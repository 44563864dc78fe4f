/// Where green threads wait at a queue.  Nobody waits to take while there is something to take, and nobody to put while there is room.
struct QueueWaiters {
    /// With an item in hand, which stays there until they go on: whoever takes it copies it.
    var putters = WaitQueue.Ends()
    /// With an empty hand, as those who peek.
    var takers = WaitQueue.Ends()
    var peekers = WaitQueue.Ends()
    /// For all tasks to be done.
    var joiners = WaitQueue.Ends()
}

extension UnsafeMutablePointer<QueueWaiters> {
    var putters: WaitQueue { withUnsafeMutablePointer(to: &pointee.putters) { WaitQueue($0) } }
    var takers: WaitQueue { withUnsafeMutablePointer(to: &pointee.takers) { WaitQueue($0) } }
    var peekers: WaitQueue { withUnsafeMutablePointer(to: &pointee.peekers) { WaitQueue($0) } }
    var joiners: WaitQueue { withUnsafeMutablePointer(to: &pointee.joiners) { WaitQueue($0) } }
}

extension GreenThread {
    /// Where the item lies that this one holds out, or into which the one it waits for will be put: the detail of its wait says so.
    /// What has no size has no address either, and needs none.
    @inline(__always)
    func slot<Item>(of: Item.Type) -> UnsafeMutablePointer<Item> {
        MemoryLayout<Item>.size == 0
            ? UnsafeMutablePointer(bitPattern: MemoryLayout<Item>.alignment)! : waitAddress(of: Item.self)
    }
}
