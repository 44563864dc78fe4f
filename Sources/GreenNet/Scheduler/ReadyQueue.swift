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
        thread.next = nil
        if let last { last.next = thread } else { first = thread }
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
        let next = mark == nil ? first : mark!.next
        thread.next = next
        if let mark { mark.next = thread } else { first = thread }
        if next == nil { last = thread }
        count += 1
    }

    /// Lets the one at `index` come first, before those that were before it.
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

    /// Fetches what those who come after the first will touch, while the first runs.  With a thousand connections nothing of it is in the
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
        count -= 1
        first = thread.next
        if first == nil { last = nil }
        return thread
    }
}
