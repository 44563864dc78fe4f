/// The stacks of one hub: mapped in slabs, guarded when first handed out, reused last in first out among those of their size.
///
/// A stack is addresses, of which the kernel backs a page when it is touched.  Printing a thrown error takes 41 KiB.
struct StackPool {
    /// More than a page: a function with large locals can step over one.
    static let guardSize = 16 << 10
    /// Addresses of free stacks that keep their pages, in bytes: 1,024 stacks of the standard size.  Beyond it the pages go back to the kernel, the
    /// addresses stay.
    static let warmLimit = 256 << 20
    /// How many addresses' pages one trim gives back, in bytes; one stack at least.
    private static let trimLimit = 16 << 20
    private static let colours = 16

    private struct Slab {
        let low: UnsafeMutableRawPointer
        let bytes: Int
        var used = 0
    }

    /// A free stack.  Nothing in its pages is needed to use it again.
    private struct Stack {
        let slot: UnsafeMutableRawPointer
        let record: UnsafeMutableRawPointer
    }

    /// The stacks of one size.
    private struct Shelf {
        /// Linked through `next`, which has no other use here.
        var warm: GreenThread?
        var warmCount = 0
        var cold: ContiguousArray<Stack> = []
        /// How many were made.
        var carved = 0
        var slabs: ContiguousArray<Slab> = []
    }

    /// By `StackClass.index`, which is always in range.  In place and unchecked, since each spawn and each end touches one.
    private var shelves = InlineArray<15, Shelf>(repeating: Shelf())
    private var warmBytes = 0
    var guardKind = StackMemory.Guard.best

    /// Stacks kept for reuse, of all sizes.
    var cached: Int { shelves.indices.reduce(0) { $0 + shelves[$1].warmCount + shelves[$1].cold.count } }

    /// A new record at the top of a stack of its own.  Throws where the kernel has no memory or no mapping left.
    mutating func take(_ size: StackClass) throws(SystemError) -> GreenThread {
        if let stack = takeWarm(size) { return blank(stack) }
        if let stack = shelves[size.index].cold.popLast() { return blank(stack) }
        return blank(try carve(size))
    }

    @inline(__always)
    private mutating func takeWarm(_ size: StackClass) -> Stack? {
        guard let thread = shelves[unchecked: size.index].warm else { return nil }
        shelves[unchecked: size.index].warm = thread.next
        shelves[unchecked: size.index].warmCount &-= 1
        warmBytes &-= size.bytes
        Context.forget(thread)
        return Stack(slot: thread.slot, record: UnsafeMutableRawPointer(thread.record))
    }

    /// May be called on the very stack that is given back: but for a link in the record, nothing changes before the next `take` or `trim`.
    @inline(__always)
    mutating func give(_ thread: GreenThread) {
        let size = thread.stackClass
        thread.next = shelves[unchecked: size.index].warm
        shelves[unchecked: size.index].warm = thread
        shelves[unchecked: size.index].warmCount &+= 1
        warmBytes &+= size.bytes
    }

    /// Maps stacks until `count` of `size` are cached, to be handed out later.
    mutating func stock(_ count: Int, of size: StackClass) throws(SystemError) {
        while shelves[size.index].warmCount + shelves[size.index].cold.count < count {
            let stack = try carve(size)
            shelves[size.index].cold.append(stack)
        }
    }

    var needsTrimming: Bool { warmBytes > StackPool.warmLimit }

    /// Gives the pages of some stacks back to the kernel: a few at a time, since it costs a system call each.
    mutating func trim() {
        var left = StackPool.trimLimit
        while needsTrimming, left > 0 {
            let size = warmest
            let stack = takeWarm(size)!
            StackMemory.discard(stack.slot + StackPool.guardSize, size.bytes - StackPool.guardSize)
            shelves[size.index].cold.append(stack)
            left -= size.bytes
        }
    }

    /// The size of which most addresses are warm.  With any other, a size that the program no longer uses would push out the one that it does.
    private var warmest: StackClass {
        let index = shelves.indices.max { warmBytes(at: $0) < warmBytes(at: $1) }!
        return StackClass(index: index)
    }

    private func warmBytes(at index: Int) -> Int { shelves[index].warmCount * StackClass(index: index).bytes }

    /// To be called when no green thread is left.
    mutating func unmapAll() {
        for index in shelves.indices {
            while takeWarm(StackClass(index: index)) != nil {}
            for slab in shelves[index].slabs { StackMemory.unmap(slab.low, slab.bytes) }
        }
        self = StackPool()
    }

    private mutating func carve(_ size: StackClass) throws(SystemError) -> Stack {
        let (bytes, index) = (size.bytes, size.index)
        if shelves[index].slabs.last.map({ $0.used == $0.bytes }) ?? true { try mapSlab(size) }
        let last = shelves[index].slabs.count - 1
        let slot = shelves[index].slabs[last].low + shelves[index].slabs[last].used
        try StackMemory.installGuard(slot, StackPool.guardSize, guardKind)
        shelves[index].slabs[last].used += bytes
        shelves[index].carved += 1
        let shift = GreenThread.recordSize + shelves[index].carved % StackPool.colours * 64
        return Stack(slot: slot, record: slot + bytes - shift)
    }

    /// The first slab is small, since most hubs run few green threads.  One stack at least.
    private mutating func mapSlab(_ size: StackClass) throws(SystemError) {
        let bytes = max(size.bytes, (4 << 20) << min(shelves[size.index].slabs.count, 6))
        shelves[size.index].slabs.append(Slab(low: try StackMemory.map(bytes), bytes: bytes))
    }

    private func blank(_ stack: Stack) -> GreenThread {
        let thread = GreenThread(at: stack.record)
        thread.slot = stack.slot
        thread.stackLow = stack.slot + StackPool.guardSize
        thread.stackHigh = stack.record
        return thread
    }
}
