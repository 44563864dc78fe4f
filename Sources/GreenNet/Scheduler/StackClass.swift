import Synchronization

/// A size that stacks have: a power of two, so that few sizes are pooled and a stack that was used once fits many that come.
///
/// The size counts everything in a stack's slot: the guard, `StackPool.guardSize`, and at the top the record with its colour, 1.2 KiB at most.
/// The smallest leaves room for printing an error at the first use, which takes 41 KiB.  Larger ones than the largest leave too few of them in an
/// address space of 128 TiB, and fewer still where the kernel counts addresses (vm.overcommit_memory 2).
struct StackClass: Equatable {
    /// Counted from that of the smallest.
    let index: Int

    static let count = 15
    static let smallest = StackClass(index: 0)
    /// Of a hub's green threads, unless the program says otherwise.
    static let standard = StackClass(index: 2)
    static let largest = StackClass(index: count - 1)

    private static var smallestShift: Int { 16 }

    /// The smallest one that has `bytes`, which is in its range.
    init(holding bytes: Int) {
        StackClass.check(bytes)
        index = Int.bitWidth - (bytes - 1).leadingZeroBitCount - StackClass.smallestShift
    }

    init(index: Int) { self.index = index }

    /// That of a stack whose record lies `distance` above the beginning of its slot.  Only the record and its colour lie between it and the end, which
    /// is far less than half a stack.
    init(recordAt distance: Int) { index = (Int.bitWidth - StackClass.smallestShift) &- distance.leadingZeroBitCount }

    var bytes: Int { 1 &<< (StackClass.smallestShift &+ index) }

    /// Stops the program where there is no such stack.
    static func check(_ bytes: Int) {
        require(
            bytes >= smallest.bytes && bytes <= largest.bytes,
            "a stack of \(bytes) bytes: it takes \(smallest.bytes) (64 KiB) to \(largest.bytes) (1 GiB)")
    }
}

extension StackClass {
    /// Of the whole process.
    private static let chosen = Atomic<Int>(2)

    /// Of green threads that are spawned without a size of their own.  From any OS thread.
    static var usual: StackClass {
        get { StackClass(index: chosen.load(ordering: .relaxed)) }
        set { chosen.store(newValue.index, ordering: .relaxed) }
    }

    /// As a program asks for it; nil: the usual one.
    init(_ bytes: Int?) {
        guard let bytes else {
            self = .usual
            return
        }
        self.init(holding: bytes)
    }
}
