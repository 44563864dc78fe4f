/// Green threads that can run, in the order in which they became ready, linked through `next`.
struct ReadyQueue {
    private var first: GreenThread?
    private var last: GreenThread?
    private(set) var count = 0
    /// Arrivals are green threads whose descriptors the loop has found ready in this pass.  The next one with the priority `arrivals` is put
    /// behind `mark`; nil: in front of all.
    private var mark: GreenThread?
    private var arrivals = Int32.max

    var isEmpty: Bool { first == nil }

    @inline(__always)
    mutating func append(_ thread: GreenThread) {
        thread.next = nil
        if let last { last.next = thread } else { first = thread }
        last = thread
        count &+= 1
    }

    /// Before the loop is looked at.
    @inline(__always)
    mutating func beginArrivals() { arrivals = .max }

    /// Appends an arrival, in front of the arrivals with the same priority that this pass has brought already: libev
    /// calls back from the last that the kernel has named to the first, the highest priority first.
    @inline(__always)
    mutating func insertArrival(_ thread: GreenThread, _ priority: Int32) {
        if priority != arrivals { (arrivals, mark) = (priority, last) }
        let next = mark == nil ? first : mark!.next
        thread.next = next
        if let mark { mark.next = thread } else { first = thread }
        if next == nil { last = thread }
        count &+= 1
    }

    /// Moves the green thread at `index` to the front.
    mutating func moveToFront(_ index: Int) {
        guard index > 0 else { return }
        var previous = first!
        for _ in 1..<index { previous = previous.next! }
        let moved = previous.next!
        previous.next = moved.next
        if last == moved { last = previous }
        moved.next = first
        first = moved
    }

    /// Fetches what the second and the third will touch, while the first runs.  With a thousand connections nothing of it is in the
    /// processor's caches any more; to wait for each line in turn would cost a tenth of a message.
    @inline(__always)
    func prefetch() {
        guard let second = first?.next else { return }
        Context.prefetchWork(of: second)
        if let third = second.next { Context.prefetchRecord(of: third) }
    }

    @inline(__always)
    mutating func popFirst() -> GreenThread? {
        guard let thread = first else { return nil }
        count &-= 1
        first = thread.next
        if first == nil { last = nil }
        return thread
    }
}
