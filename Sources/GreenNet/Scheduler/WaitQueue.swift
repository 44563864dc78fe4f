extension UnsafeMutablePointer<WaitQueue> {
    /// An empty one, in memory that whoever calls deallocates.
    static func make() -> Self {
        let queue = allocate(capacity: 1)
        queue.initialize(to: WaitQueue())
        return queue
    }

    var isEmpty: Bool { pointee.first == nil }

    /// Those that stand in it, counted.
    var count: Int {
        sequence(first: pointee.first) { $0?.pointee.next }.prefix { $0 != nil }.reduce(0) { n, _ in n + 1 }
    }

    func append(_ thread: GreenThread) {
        thread.pointee.queue = self
        thread.pointee.next = nil
        thread.pointee.previous = pointee.last
        if let last = pointee.last { last.pointee.next = thread } else { pointee.first = thread }
        pointee.last = thread
    }

    /// `thread` stands in this queue.
    func remove(_ thread: GreenThread) {
        let (previous, next) = (thread.pointee.previous, thread.pointee.next)
        if let previous { previous.pointee.next = next } else { pointee.first = next }
        if let next { next.pointee.previous = previous } else { pointee.last = previous }
        thread.pointee.queue = nil
    }

    /// Wakes all that stand in it now, in the order in which they came.
    func wakeAll(_ why: Wake = .event) {
        while let thread = pointee.first { thread.wake(why) }
    }
}
