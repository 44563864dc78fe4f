/// Jobs that are to run at a moment, the earliest first; of equal moments, the first that came.
///
/// A heap with four children to a node, in raw memory: a task that sleeps needs an entry, and no stack.
struct TaskTimers: ~Copyable {
    private struct Entry {
        let due: Deadline
        /// Counts the jobs that came.
        let number: UInt64
        let job: TaskJob
        /// The task that sleeps until then; nil where it is not known.
        let sleeper: UnsafeRawPointer?

        @inline(__always)
        static func < (left: Entry, right: Entry) -> Bool {
            left.due != right.due ? left.due < right.due : left.number < right.number
        }
    }

    private var entries = UnsafeMutableBufferPointer<Entry>(start: nil, count: 0)
    private var entryCount = 0
    private var lastNumber: UInt64 = 0
    /// The entries of tasks that sleep, by the address of the task.  That may be another task's by now, if the first was cancelled and went on elsewhere.
    private var sleepers: [UnsafeRawPointer: (number: UInt64, job: TaskJob)] = [:]
    /// Entries whose jobs were taken out early.  They are dropped when they come first, or all together.
    private var dead: Set<UInt64> = []

    var count: Int { entryCount - dead.count }
    var haveSleepers: Bool { !sleepers.isEmpty }

    var earliest: Deadline? {
        mutating get {
            dropDead()
            return entryCount > 0 ? entries[0].due : nil
        }
    }

    mutating func insert(_ job: TaskJob, due: Deadline, for sleeper: UnsafeRawPointer? = nil) {
        lastNumber += 1
        if let sleeper { sleepers[sleeper] = (lastNumber, job) }
        append(Entry(due: due, number: lastNumber, job: job, sleeper: sleeper))
    }

    /// Takes out the earliest, where it is due at `end` or before.
    mutating func popFirst(until end: Deadline) -> (job: TaskJob, due: Deadline)? {
        dropDead()
        guard entryCount > 0, entries[0].due <= end else { return nil }
        let first = removeFirst()
        if let sleeper = first.sleeper, sleepers[sleeper]?.number == first.number { sleepers[sleeper] = nil }
        return (first.job, first.due)
    }

    /// Takes out the job that would end the sleep of `task`; nil where there is none.
    mutating func removeEnd(of task: UnsafeRawPointer) -> TaskJob? {
        guard let (number, job) = sleepers.removeValue(forKey: task) else { return nil }
        dead.insert(number)
        if dead.count > max(16, entryCount / 2) { dropAllDead() }
        return job
    }

    mutating func removeAll() {
        entryCount = 0
        (sleepers, dead) = ([:], [])
    }

    /// Those that come first.
    private mutating func dropDead() {
        while !dead.isEmpty, entryCount > 0, dead.remove(entries[0].number) != nil { _ = removeFirst() }
    }

    private mutating func dropAllDead() {
        let living = entries[..<entryCount].filter { !dead.contains($0.number) }
        (entryCount, dead) = (0, [])
        for entry in living { append(entry) }
    }

    private mutating func append(_ entry: Entry) {
        if entryCount == entries.count { grow() }
        entryCount += 1
        siftUp(entry, from: entryCount - 1)
    }

    private mutating func removeFirst() -> Entry {
        let first = entries[0]
        entryCount -= 1
        if entryCount > 0 { siftDown(entries[entryCount], from: 0) }
        return first
    }

    deinit { entries.deallocate() }

    private mutating func grow() {
        let larger = UnsafeMutableBufferPointer<Entry>.allocate(capacity: max(16, 2 * entryCount))
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
            guard least < entryCount else { break }
            for child in least..<min(least + 4, entryCount) where entries[child] < entries[least] { least = child }
            guard entries[least] < entry else { break }
            entries.initializeElement(at: place, to: entries[least])
            place = least
        }
        entries.initializeElement(at: place, to: entry)
    }
}
