import Synchronization

/// A value that forked children share.  One OS thread of one process writes it; readers never wait.
///
/// A new value is written beside the old one and then becomes the current one.  A reader reads again where the version has changed meanwhile.
struct LiveValue<Value: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Unchecked: the words are atomic.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// How many values there were.  An even version is in the first half of the words, an odd one in the second.
    private let version: UnsafeMutablePointer<Atomic<UInt64>>

    private static var wordCount: Int { (MemoryLayout<Value>.size + 7) / 8 }

    init(_ value: Value) throws(StartFailure) {
        words = try SharedMemory.allocate(2 * Self.wordCount, of: Atomic<UInt64>.self)
        version = try SharedMemory.allocate(1, of: Atomic<UInt64>.self)
        self.value = value
    }

    var value: Value {
        get {
            while true {
                let before = version.pointee.load(ordering: .acquiring)
                let value = read(half(before))
                atomicMemoryFence(ordering: .acquiring)
                if version.pointee.load(ordering: .relaxed) == before { return value }
            }
        }
        nonmutating set {
            let next = version.pointee.load(ordering: .relaxed) + 1
            write(newValue, half(next))
            version.pointee.store(next, ordering: .releasing)
        }
    }

    /// Another number for each value.  One that is read before the value is not newer than that.
    var number: UInt64 { version.pointee.load(ordering: .acquiring) }

    private func half(_ version: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        words + Int(version & 1) * Self.wordCount
    }

    private func read(_ half: UnsafeMutablePointer<Atomic<UInt64>>) -> Value {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.wordCount) { copy in
            for index in copy.indices { copy[index] = half[index].load(ordering: .relaxed) }
            return UnsafeRawPointer(copy.baseAddress!).loadUnaligned(as: Value.self)
        }
    }

    private func write(_ value: Value, _ half: UnsafeMutablePointer<Atomic<UInt64>>) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.wordCount) { copy in
            copy.initialize(repeating: 0)
            UnsafeMutableRawPointer(copy.baseAddress!).storeBytes(of: value, as: Value.self)
            for index in copy.indices { half[index].store(copy[index], ordering: .releasing) }
        }
    }
}
