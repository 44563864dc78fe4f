/// The stacks of one hub: mapped in slabs, guarded when handed out, reused last in first out among those of their size.
///
/// A stack is addresses, of which the kernel backs a page when it is touched.  Printing a thrown error takes 41 KiB.
///
/// What a burst of green threads took goes back: at once what is beyond `warmLimit`, and soon (`settle`) what is beyond `reserve` and has been of no use.
struct StackPool {
    /// More than a page: a function with large locals can step over one.
    static let guardSize = 16 << 10
    /// Addresses of free stacks that keep their pages, in bytes: 1,024 stacks of the standard size.  Beyond it the pages go back to the kernel, the
    /// addresses stay.
    static let warmLimit = 256 << 20
    /// Of these, what stays warm for good: 128 stacks of the standard size.
    static let reserve = 32 << 20
    /// How many addresses' pages one trim gives back, in bytes; one stack at least.
    private static let trimLimit = 64 << 20

    /// The stacks of one size.
    private struct Shelf {
        /// Linked through `next`, which has no other use here.
        var warm: GreenThread?
        var warmCount = 0
        var cold = ColdStacks()
    }

    /// By `StackClass.index`, which is always in range.  In place and unchecked, since each spawn and each end touches one.
    private var shelves = InlineArray<15, Shelf>(repeating: Shelf())
    private var warmBytes = 0
    /// What may be warm now; less than `warmLimit` only until `trim` has got there.
    private var limit = StackPool.warmLimit
    /// Blocks whose pages `trim` has still to give back.
    private var uncleanBlocks = 0
    var guardKind = StackMemory.Guard.best

    /// Stacks kept for reuse, of all sizes.
    var cached: Int { shelves.indices.reduce(0) { $0 + shelves[$1].warmCount + shelves[$1].cold.count } }

    /// A new record at the top of a stack of its own.  Throws where the kernel has no memory or no mapping left.
    mutating func take(_ size: StackClass) throws(SystemError) -> GreenThread {
        if let stack = takeWarm(size) { return blank(stack) }
        return blank(try shelves[size.index].cold.take(size, guardKind))
    }

    @inline(__always)
    private mutating func takeWarm(_ size: StackClass) -> ColdStacks.Stack? {
        guard let thread = shelves[unchecked: size.index].warm else { return nil }
        shelves[unchecked: size.index].warm = thread.next
        shelves[unchecked: size.index].warmCount &-= 1
        warmBytes &-= size.bytes
        Context.forget(thread)
        return ColdStacks.Stack(slot: thread.slot, record: UnsafeMutableRawPointer(thread.record))
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
            try shelves[size.index].cold.stock(size, guardKind)
        }
    }

    // MARK: Giving memory back

    /// Whether `trim` or, later, `settle` has something to do.
    @inline(__always)
    var hasMuch: Bool { warmBytes > StackPool.reserve || uncleanBlocks > 0 }

    var needsTrimming: Bool { warmBytes > limit || uncleanBlocks > 0 }

    /// Whether more is warm than what stays so for good.
    var needsSettling: Bool { warmBytes > StackPool.reserve }

    /// From now on `bytes` of addresses are enough to be warm; `trim` does the rest.  Those that stay are neighbours, and so need few page tables.
    mutating func settle(at bytes: Int) {
        let bytes = min(max(bytes, StackPool.reserve), StackPool.warmLimit)
        guard warmBytes > bytes else { return }
        limit = bytes
        for index in shelves.indices where shelves[index].warmCount > 1 { sortWarm(index) }
    }

    /// The highest address first, which is the first to be trimmed.
    private mutating func sortWarm(_ index: Int) {
        let threads = sequence(first: shelves[index].warm) { $0?.next }.prefix { $0 != nil }.map { $0!.record }
        shelves[index].warm = nil
        for record in threads.sorted() {
            let thread = GreenThread(record)
            thread.next = shelves[index].warm
            shelves[index].warm = thread
        }
    }

    /// Gives the pages of some stacks back to the kernel: a few at a time, since it costs system calls.
    mutating func trim() {
        var left = StackPool.trimLimit
        let size = warmest
        while warmBytes > limit, left > 0, shelves[size.index].warm != nil {
            if shelves[size.index].cold.put(takeWarm(size)!.slot, size) { uncleanBlocks += 1 }
            left -= size.bytes
        }
        guard warmBytes <= limit else { return }
        limit = StackPool.warmLimit
        clean()
    }

    /// Once no more becomes cold: of a block that is free as a whole, all goes back at once.
    private mutating func clean() {
        var left = StackPool.trimLimit
        for index in shelves.indices where uncleanBlocks > 0 {
            let size = StackClass(index: index)
            while left > 0, shelves[index].cold.cleanOne(size, guardKind) {
                uncleanBlocks -= 1
                left -= size.bytesOfBlock
            }
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
            shelves[index].cold.unmapAll()
        }
        self = StackPool()
    }

    private func blank(_ stack: ColdStacks.Stack) -> GreenThread {
        let thread = GreenThread(at: stack.record)
        thread.slot = stack.slot
        thread.stackLow = stack.slot + StackPool.guardSize
        thread.stackHigh = stack.record
        return thread
    }
}
