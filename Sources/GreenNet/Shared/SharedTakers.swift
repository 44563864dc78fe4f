import Synchronization

/// How many tasks each process has taken and not done, in shared memory: what a process has taken that ends is lost.  Used under the gate.
final class SharedTakers: Sendable {
    /// Of the first entry: how many entries were ever used, itself included.  Then, of each, the process and the number of its tasks.
    private let entries: SharedWord
    /// In this process: where its entry is, if that is still its own.
    private let known = Atomic<Int>(0)
    /// A process of this queue has found no entry: those of dead processes are to be freed.
    private let isFull = Atomic<Bool>(false)

    /// Processes beyond share the first entry, and their deaths are not noticed.
    static let capacity = 1 << 15
    static let bytes = 16 * capacity

    init(at address: SharedWord) { entries = address }

    private var used: SharedWord { entries[0] }
    private func process(_ entry: Int) -> SharedWord { entries[2 * entry] }
    private func tasks(_ entry: Int) -> SharedWord { entries[2 * entry + 1] }
    private var all: Range<Int> { 1..<min(max(Int(used.value), 1), SharedTakers.capacity) }

    /// The number of tasks that the calling process is to count a further one in.
    var own: SharedWord {
        let own = ProcessIdentity.own.bits
        let entry = known.load(ordering: .relaxed)
        if entry != 0, process(entry).value == own { return tasks(entry) }
        let found = all.first { process($0).value == own } ?? newEntry(own)
        known.store(found, ordering: .relaxed)
        isFull.store(found == 0, ordering: .relaxed)
        return tasks(found)
    }

    /// Where the calling process has tasks; nil where it has none.  Those that it has taken while there was no entry for it are in the first.
    var ownWithTasks: SharedWord? { [own, tasks(0)].first { $0.value > 0 } }

    private func newEntry(_ own: UInt64) -> Int {
        // One without tasks has nothing to lose.
        let entry = all.first { tasks($0).value == 0 } ?? all.upperBound
        guard entry < SharedTakers.capacity else { return 0 }
        process(entry).value = own
        used.value = max(used.value, UInt64(entry) + 1)
        return entry
    }

    /// Whether the last look for an entry has found none; the caller settles deaths then, without the gate.
    var needsRoom: Bool { isFull.load(ordering: .relaxed) }

    /// Processes that have tasks.
    var processes: [ProcessIdentity] {
        all.filter { tasks($0).value != 0 }.map { ProcessIdentity(bits: process($0).value) }
    }

    /// The number of tasks of `owner`; nil where it has none.
    func tasks(of owner: ProcessIdentity) -> SharedWord? {
        all.first { process($0).value == owner.bits }.map(tasks)
    }
}
