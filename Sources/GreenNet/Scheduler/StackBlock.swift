/// Neighbouring stacks of one size, for which the kernel has page tables of their own: 2 MiB of addresses, or one stack that is larger.
///
/// Page tables take 4 KiB for a block, whether one of its stacks was touched or all, and go back to the kernel only for a whole block without guards
/// (Linux 6.14; before, the pages go alone).  So a block in which no stack is in use loses its guards too.
struct StackBlock {
    let low: UnsafeMutableRawPointer
    // A bit for each stack.
    /// Not in use, and not among the warm ones.
    private(set) var free: UInt32
    /// Handed out before, or in store.
    private(set) var known: UInt32 = 0
    private(set) var guarded: UInt32 = 0
    /// Free ones that have pages still.
    private var backed: UInt32 = 0

    init(at low: UnsafeMutableRawPointer, of size: StackClass) { (self.low, free) = (low, size.allOfBlock) }

    /// Whether `clean` would do anything.
    var isClean: Bool { backed == 0 }

    /// Makes a guard below the stack `index`, where it has none.
    mutating func install(_ index: Int, of size: StackClass, _ kind: StackMemory.Guard) throws(SystemError) {
        if guarded & bit(index) != 0 { return }
        try StackMemory.installGuard(slot(index, size), StackPool.guardSize, kind)
        guarded |= bit(index)
    }

    /// A stack that was never handed out is in store from now on.
    mutating func store(_ index: Int) { known |= bit(index) }

    /// The free stack `index` is in use from now on.
    mutating func take(_ index: Int) {
        known |= bit(index)
        free &= ~bit(index)
        backed &= ~bit(index)
    }

    /// The stack `index` is free from now on.
    mutating func put(_ index: Int) {
        free |= bit(index)
        backed |= bit(index)
    }

    /// Gives back to the kernel what no stack of it needs.
    mutating func clean(_ size: StackClass, _ kind: StackMemory.Guard) {
        if free != size.allOfBlock || !reset(size, kind) { discardPages(size) }
        backed = 0
    }

    /// Returns false where the guards can't be removed.
    private mutating func reset(_ size: StackClass, _ kind: StackMemory.Guard) -> Bool {
        // Of a large stack, only what has a guard is walked.
        let bytes = size.stacksOfBlock == 1 ? StackPool.guardSize : size.bytesOfBlock
        do throws(SystemError) { try StackMemory.removeGuards(low, bytes, kind) } catch { return false }
        StackMemory.discard(low, size.bytesOfBlock)
        guarded = 0
        return true
    }

    private func discardPages(_ size: StackClass) {
        var left = backed
        while left != 0 {
            let index = left.trailingZeroBitCount
            StackMemory.discard(slot(index, size) + StackPool.guardSize, size.bytes - StackPool.guardSize)
            left &= left - 1
        }
    }

    func slot(_ index: Int, _ size: StackClass) -> UnsafeMutableRawPointer { low + index * size.bytes }

    private func bit(_ index: Int) -> UInt32 { 1 << UInt32(index) }
}

extension StackClass {
    var bytesOfBlock: Int { max(bytes, StackMemory.blockBytes) }
    var stacksOfBlock: Int { bytesOfBlock / bytes }
    fileprivate var allOfBlock: UInt32 { .max >> UInt32(32 - stacksOfBlock) }
}
