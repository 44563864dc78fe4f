/// The green threads that wait at a queue.  They wait to take only while it is empty, and to put only while it is full.
struct QueueWaiters {
    /// Each with an item in its slot, which stays there until it runs on: a green thread that takes the item copies it.
    var putters = WaitQueue.Ends()
    /// Each with an empty slot, as `peekers`.
    var takers = WaitQueue.Ends()
    var peekers = WaitQueue.Ends()
    /// They wait for all tasks to be done.
    var joiners = WaitQueue.Ends()
}

extension UnsafeMutablePointer<QueueWaiters> {
    var putters: WaitQueue { withUnsafeMutablePointer(to: &pointee.putters) { WaitQueue($0) } }
    var takers: WaitQueue { withUnsafeMutablePointer(to: &pointee.takers) { WaitQueue($0) } }
    var peekers: WaitQueue { withUnsafeMutablePointer(to: &pointee.peekers) { WaitQueue($0) } }
    var joiners: WaitQueue { withUnsafeMutablePointer(to: &pointee.joiners) { WaitQueue($0) } }
}
