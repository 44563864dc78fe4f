/// The stacks of one hub: mapped in slabs, guarded when first handed out, reused last in first out.
///
/// A stack is 256 KiB of addresses, of which the kernel backs a page when it is touched.  Printing a thrown error takes 41 KiB.
struct StackPool {
    static let stackSize = 256 << 10
    /// More than a page: a function with large locals can step over one.
    static let guardSize = 16 << 10
    /// Free stacks that keep their pages.  Beyond it the pages go back to the kernel, the addresses stay.
    static let warmLimit = 1024
    private static let colours = 16

    private struct Slab {
        let low: UnsafeMutableRawPointer
        let count: Int
        var used = 0
    }

    /// A free stack.  Nothing in its pages is needed to use it again.
    private struct Stack {
        let slot: UnsafeMutableRawPointer
        let record: UnsafeMutableRawPointer
    }

    private var slabs: ContiguousArray<Slab> = []
    /// Linked through `next`, which has no other use here.
    private var warm: GreenThread?
    private var warmCount = 0
    private var cold: ContiguousArray<Stack> = []
    private var carved = 0
    var guardKind = StackMemory.Guard.best

    /// Stacks kept for reuse.
    var cached: Int { warmCount + cold.count }

    /// A new record at the top of a stack of its own.  Throws where the kernel has no memory or no mapping left.
    mutating func take() throws(SystemError) -> GreenThread {
        if let stack = takeWarm() { return blank(stack) }
        if let stack = cold.popLast() { return blank(stack) }
        return blank(try carve())
    }

    private mutating func takeWarm() -> Stack? {
        guard let thread = warm else { return nil }
        warm = thread.next
        warmCount -= 1
        Context.forget(thread)
        return Stack(slot: thread.slot, record: UnsafeMutableRawPointer(thread.record))
    }

    /// May be called on the very stack that is given back: but for a link in the record, nothing changes before the next `take` or `trim`.
    mutating func give(_ thread: GreenThread) {
        thread.next = warm
        warm = thread
        warmCount += 1
    }

    /// Maps stacks until `count` are cached, to be handed out later.
    mutating func stock(_ count: Int) throws(SystemError) { while cached < count { cold.append(try carve()) } }

    var needsTrimming: Bool { warmCount > StackPool.warmLimit }

    /// Gives the pages of some stacks back to the kernel: a few at a time, since it costs a system call each.
    mutating func trim() {
        for _ in 0..<min(64, warmCount - StackPool.warmLimit) {
            let stack = takeWarm()!
            StackMemory.discard(stack.slot + StackPool.guardSize, StackPool.stackSize - StackPool.guardSize)
            cold.append(stack)
        }
    }

    /// To be called when no green thread is left.
    mutating func unmapAll() {
        while takeWarm() != nil {}
        for slab in slabs { StackMemory.unmap(slab.low, slab.count * StackPool.stackSize) }
        self = StackPool()
    }

    private mutating func carve() throws(SystemError) -> Stack {
        if slabs.last.map({ $0.used == $0.count }) ?? true { try mapSlab() }
        let last = slabs.count - 1
        let slot = slabs[last].low + slabs[last].used * StackPool.stackSize
        try StackMemory.installGuard(slot, StackPool.guardSize, guardKind)
        slabs[last].used += 1
        carved += 1
        let shift = GreenThread.recordSize + carved % StackPool.colours * 64
        return Stack(slot: slot, record: slot + StackPool.stackSize - shift)
    }

    /// The first slab is small, since most hubs run few green threads.
    private mutating func mapSlab() throws(SystemError) {
        let count = 16 << min(slabs.count, 6)
        slabs.append(Slab(low: try StackMemory.map(count * StackPool.stackSize), count: count))
    }

    private func blank(_ stack: Stack) -> GreenThread {
        let thread = GreenThread(at: stack.record)
        thread.slot = stack.slot
        thread.stackLow = stack.slot + StackPool.guardSize
        thread.stackHigh = stack.record
        return thread
    }
}
