internal import CSwitch

/// Parked green threads, first come, first served: the address of the list's two ends, which lie in raw memory and must not move while a green
/// thread is in it.  Only this file reads and writes them.
struct WaitQueue: Equatable {
    /// The memory of a queue that is part of something larger, which is raw memory itself.
    typealias Ends = green_wait_queue

    let ends: UnsafeMutablePointer<Ends>

    @inline(__always)
    init(_ ends: UnsafeMutablePointer<Ends>) { self.ends = ends }

    /// An empty queue, in memory of its own, until `deallocate()`.
    static func make() -> WaitQueue {
        let ends = UnsafeMutablePointer<Ends>.allocate(capacity: 1)
        ends.initialize(to: Ends())
        return WaitQueue(ends)
    }

    func deallocate() { ends.deallocate() }

    /// The green thread that has waited longest.
    var first: GreenThread? {
        get { ends.pointee.first.map(GreenThread.init) }
        nonmutating set { ends.pointee.first = newValue?.record }
    }

    var last: GreenThread? {
        get { ends.pointee.last.map(GreenThread.init) }
        nonmutating set { ends.pointee.last = newValue?.record }
    }

    var isEmpty: Bool { first == nil }

    /// How many green threads are in it, counted one by one.
    var count: Int { sequence(first: first) { $0?.next }.prefix { $0 != nil }.reduce(0) { n, _ in n + 1 } }

    func append(_ thread: GreenThread) {
        thread.queue = self
        thread.next = nil
        thread.previous = last
        if let last { last.next = thread } else { first = thread }
        last = thread
    }

    /// `thread` is in this queue.
    func remove(_ thread: GreenThread) {
        let (previous, next) = (thread.previous, thread.next)
        if let previous { previous.next = next } else { first = next }
        if let next { next.previous = previous } else { last = previous }
        thread.queue = nil
    }

    /// Wakes all that are in it now, in the order in which they came.
    func wakeAll(_ reason: Wake = .event) {
        while let thread = first { thread.wake(reason) }
    }
}
