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

/// Green threads that can run, in the order in which they became ready, linked through `next`.
struct ReadyQueue {
    private var first: GreenThread?
    private var last: GreenThread?
    private(set) var count = 0
    /// Behind it stand those whose descriptors the loop has found ready in this pass, and with the priority `arrivals`; nil: in front of all.
    private var mark: GreenThread?
    private var arrivals = Int32.max

    var isEmpty: Bool { first == nil }

    @inline(__always)
    mutating func append(_ thread: GreenThread) {
        thread.pointee.next = nil
        if let last { last.pointee.next = thread } else { first = thread }
        last = thread
        count += 1
    }

    /// Before the loop is looked at.
    @inline(__always)
    mutating func beginArrivals() { arrivals = .max }

    /// Appends one whose descriptor the loop has found ready, in front of those with the same priority that this pass has brought already: libev
    /// calls back from the last that the kernel has named to the first, the highest priority first.
    @inline(__always)
    mutating func insertArrival(_ thread: GreenThread, _ priority: Int32) {
        if priority != arrivals { (arrivals, mark) = (priority, last) }
        let next = mark == nil ? first : mark!.pointee.next
        thread.pointee.next = next
        if let mark { mark.pointee.next = thread } else { first = thread }
        if next == nil { last = thread }
        count += 1
    }

    /// Lets the one at `index` come first, before those that were before it.
    mutating func moveToFront(_ index: Int) {
        guard index > 0 else { return }
        var previous = first!
        for _ in 1..<index { previous = previous.pointee.next! }
        let moved = previous.pointee.next!
        previous.pointee.next = moved.pointee.next
        if last == moved { last = previous }
        moved.pointee.next = first
        first = moved
    }

    /// Fetches what those who come after the first will touch, while the first runs.  With a thousand connections nothing of it is in the
    /// processor's caches any more; to wait for each line in turn would cost a tenth of a message.
    @inline(__always)
    func prefetch() {
        guard let second = first?.pointee.next else { return }
        Context.prefetchWork(of: second)
        if let third = second.pointee.next { Context.prefetchRecord(of: third) }
    }

    @inline(__always)
    mutating func popFirst() -> GreenThread? {
        guard let thread = first else { return nil }
        count -= 1
        first = thread.pointee.next
        if first == nil { last = nil }
        return thread
    }
}
