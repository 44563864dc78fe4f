/// The green threads that wait with a deadline, the earliest deadline first; of equal deadlines, the wait that began first.
///
/// A heap with four children to a node, in raw memory.  libev's own timers would cost more, a look at the clock each, and come in no order
/// where they are due at one moment: the loop has one timer, for the earliest deadline.
///
/// An entry stays when its wait is over, and serves a later wait that ends no earlier: a deadline that moves on with every message costs next
/// to nothing so.  What has changed meanwhile is seen when the entry comes first.
struct DeadlineQueue {
    private struct Entry {
        /// No later than the deadline of the wait under way.
        var due: Deadline
        /// The number of the wait that it was entered for, among all waits with a deadline.
        var wait: UInt64
        /// The number of this green thread's last wait.
        var lastWait: UInt64
        let thread: GreenThread

        @inline(__always)
        static func < (left: Entry, right: Entry) -> Bool {
            left.due != right.due ? left.due < right.due : left.wait < right.wait
        }
    }

    private var entries = UnsafeMutableBufferPointer<Entry>(start: nil, count: 0)
    private var count = 0
    private var waits: UInt64 = 0

    /// When the first entry is to be looked at; no deadline is earlier.
    var earliest: Deadline? { count > 0 ? entries[0].due : nil }

    /// `thread` begins a wait; its deadline is in its record.  Returns false where it has no entry that serves this wait: then call `enter`.
    @inline(__always)
    mutating func renew(_ thread: GreenThread) -> Bool {
        waits &+= 1
        let place = thread.deadlineIndex
        guard place >= 0, entries[place].due <= thread.deadline else { return false }
        entries[place].lastWait = waits
        return true
    }

    mutating func enter(_ thread: GreenThread) {
        var place = thread.deadlineIndex
        if place < 0 {
            if count == entries.count { grow() }
            place = count
            count += 1
        }
        siftUp(Entry(due: thread.deadline, wait: waits, lastWait: waits, thread: thread), from: place)
    }

    mutating func remove(_ thread: GreenThread) {
        let place = thread.deadlineIndex
        thread.deadlineIndex = -1
        count -= 1
        guard place < count else { return }
        let moved = entries[count]
        if place > 0, moved < entries[(place - 1) / 4] {
            siftUp(moved, from: place)
        } else {
            siftDown(moved, from: place)
        }
    }

    /// The first deadline of a wait that is under way; nil where that is later than `end`, or no wait has a deadline.
    mutating func settleFirst(until end: Deadline = .never) -> Deadline? {
        while count > 0, entries[0].due <= end {
            var first = entries[0]
            let thread = first.thread
            if thread.state != .parked || thread.deadline == .never {
                remove(thread)
            } else if first.due == thread.deadline, first.wait == first.lastWait {
                return first.due
            } else {
                (first.due, first.wait) = (thread.deadline, first.lastWait)
                siftDown(first, from: 0)
            }
        }
        return nil
    }

    /// Takes out the green thread whose deadline comes first, where that is not later than `end`.
    mutating func popFirst(until end: Deadline) -> GreenThread? {
        guard settleFirst(until: end) != nil else { return nil }
        let thread = entries[0].thread
        remove(thread)
        return thread
    }

    mutating func free() { entries.deallocate() }

    // MARK: The heap

    private mutating func grow() {
        let larger = UnsafeMutableBufferPointer<Entry>.allocate(capacity: max(16, 2 * count))
        _ = larger.moveInitialize(fromContentsOf: entries)
        entries.deallocate()
        entries = larger
    }

    @inline(__always)
    private func put(_ entry: Entry, at place: Int) {
        entries.initializeElement(at: place, to: entry)
        entry.thread.deadlineIndex = place
    }

    private func siftUp(_ entry: Entry, from place: Int) {
        var place = place
        while place > 0, entry < entries[(place - 1) / 4] {
            put(entries[(place - 1) / 4], at: place)
            place = (place - 1) / 4
        }
        put(entry, at: place)
    }

    private func siftDown(_ entry: Entry, from place: Int) {
        var place = place
        while true {
            var least = 4 * place + 1
            guard least < count else { break }
            for child in least..<min(least + 4, count) where entries[child] < entries[least] { least = child }
            guard entries[least] < entry else { break }
            put(entries[least], at: place)
            place = least
        }
        put(entry, at: place)
    }
}
