import Synchronization

/// The address of a word in shared memory.
///
/// Words that belong to a state are changed under its gate, one after the other in the order of the program: a process that is killed has made all stores before
/// the kill, and none after it.
struct SharedWord: @unchecked Sendable {
    // Unchecked: the word is atomic.
    let atomic: UnsafeMutablePointer<Atomic<UInt64>>

    @inline(__always)
    init(_ address: UnsafeMutableRawPointer) { atomic = address.assumingMemoryBound(to: Atomic<UInt64>.self) }

    @inline(__always)
    var value: UInt64 {
        get { atomic.pointee.load(ordering: .acquiring) }
        nonmutating set { atomic.pointee.store(newValue, ordering: .releasing) }
    }

    /// The word `index` words further on.
    @inline(__always)
    subscript(index: Int) -> SharedWord { SharedWord(UnsafeMutableRawPointer(atomic) + 8 * index) }

    func exchange(_ expected: UInt64, for new: UInt64) -> Bool {
        atomic.pointee.compareExchange(expected: expected, desired: new, ordering: .acquiringAndReleasing).exchanged
    }
}
