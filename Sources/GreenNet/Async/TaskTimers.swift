/// Jobs that are to run at a moment, the earliest first; of equal moments, the first that came.
///
/// A heap with four children to a node, in raw memory: a task that sleeps needs an entry, and no stack.
struct TaskTimers: ~Copyable {
    private struct Entry {
        let due: Deadline
        /// Counts the jobs that came.
        let number: UInt64
        let job: TaskJob

        @inline(__always)
        static func < (left: Entry, right: Entry) -> Bool {
            left.due != right.due ? left.due < right.due : left.number < right.number
        }
    }

    private var entries = UnsafeMutableBufferPointer<Entry>(start: nil, count: 0)
    private(set) var count = 0
    private var lastNumber: UInt64 = 0

    var earliest: Deadline? { count > 0 ? entries[0].due : nil }

    mutating func insert(_ job: TaskJob, due: Deadline) {
        if count == entries.count { grow() }
        lastNumber += 1
        count += 1
        siftUp(Entry(due: due, number: lastNumber, job: job), from: count - 1)
    }

    /// Takes out the earliest, where it is due at `end` or before.
    mutating func popFirst(until end: Deadline) -> (job: TaskJob, due: Deadline)? {
        guard count > 0, entries[0].due <= end else { return nil }
        let first = entries[0]
        count -= 1
        if count > 0 { siftDown(entries[count], from: 0) }
        return (first.job, first.due)
    }

    mutating func removeAll() { count = 0 }

    deinit { entries.deallocate() }

    private mutating func grow() {
        let larger = UnsafeMutableBufferPointer<Entry>.allocate(capacity: max(16, 2 * count))
        _ = larger.moveInitialize(fromContentsOf: entries)
        entries.deallocate()
        entries = larger
    }

    private func siftUp(_ entry: Entry, from place: Int) {
        var place = place
        while place > 0, entry < entries[(place - 1) / 4] {
            entries.initializeElement(at: place, to: entries[(place - 1) / 4])
            place = (place - 1) / 4
        }
        entries.initializeElement(at: place, to: entry)
    }

    private func siftDown(_ entry: Entry, from place: Int) {
        var place = place
        while true {
            var least = 4 * place + 1
            guard least < count else { break }
            for child in least..<min(least + 4, count) where entries[child] < entries[least] { least = child }
            guard entries[least] < entry else { break }
            entries.initializeElement(at: place, to: entries[least])
            place = least
        }
        entries.initializeElement(at: place, to: entry)
    }
}
