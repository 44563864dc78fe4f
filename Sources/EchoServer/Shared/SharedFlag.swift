import Synchronization

/// A yes or no that forked children share.  One OS thread of one process writes it; any may read it, at the cost of reading a word.
///
/// A reader that finds a new value finds everything that its writer has written before it.
struct SharedFlag: @unchecked Sendable {
    // Unchecked: what is behind the pointer is atomic.
    private let word: UnsafeMutablePointer<Atomic<Bool>>

    /// Not set.  Throws where there is no memory.
    init() throws(StartFailure) { word = try SharedMemory.allocate(1, of: Atomic<Bool>.self) }

    var isSet: Bool {
        get { word.pointee.load(ordering: .acquiring) }
        nonmutating set { word.pointee.store(newValue, ordering: .releasing) }
    }
}
