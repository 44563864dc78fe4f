import Synchronization

/// How many tasks each process has taken and not done, in shared memory: what a process has taken that ends is lost.  Used under the gate.
final class SharedTakers: Sendable {
    private let entries: SharedWord
    /// In this process: where its entry is, if that is still its own.
    private let known = Atomic<Int>(0)

    /// Those beyond share the first entry, and their deaths are not noticed.
    static let capacity = 1024
    static let bytes = 16 * capacity

    init(at address: SharedWord) { entries = address }

    private func process(_ entry: Int) -> SharedWord { entries[2 * entry] }
    private func tasks(_ entry: Int) -> SharedWord { entries[2 * entry + 1] }

    /// The number of tasks of the calling process.
    var own: SharedWord {
        let own = ProcessIdentity.own.bits
        let entry = known.load(ordering: .relaxed)
        if entry != 0, process(entry).value == own { return tasks(entry) }
        let found = (1..<SharedTakers.capacity).first { process($0).value == own } ?? newEntry(own)
        known.store(found, ordering: .relaxed)
        return tasks(found)
    }

    private func newEntry(_ own: UInt64) -> Int {
        // One without tasks has nothing to lose.
        guard let entry = (1..<SharedTakers.capacity).first(where: { tasks($0).value == 0 }) else { return 0 }
        process(entry).value = own
        return entry
    }

    /// Processes that have tasks.
    var processes: [ProcessIdentity] {
        (1..<SharedTakers.capacity).filter { tasks($0).value != 0 }.map { ProcessIdentity(bits: process($0).value) }
    }

    /// The number of tasks of `owner`; nil where it has none.
    func tasks(of owner: ProcessIdentity) -> SharedWord? {
        (1..<SharedTakers.capacity).first { process($0).value == owner.bits }.map(tasks)
    }
}
