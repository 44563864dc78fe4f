/// The stacks of one size that are neither in use nor warm, in the slabs that were mapped for that size.
///
/// Handed out from the lowest block that has one, so that the higher ones become free as a whole.
struct ColdStacks {
    /// A free stack.  Nothing in its pages is needed to use it again.
    struct Stack {
        let slot: UnsafeMutableRawPointer
        let record: UnsafeMutableRawPointer
    }

    private struct Slab {
        let low: UnsafeMutableRawPointer
        let bytes: Int
        let firstBlock: Int
    }

    /// By address.
    private var slabs: ContiguousArray<Slab> = []
    /// In the order in which they were mapped.
    private var blocks: ContiguousArray<StackBlock> = []
    /// A bit for each block: it has a free stack.
    private var haveFree: ContiguousArray<UInt64> = []
    /// No word of `haveFree` before it has a bit.
    private var firstWord = 0
    /// Blocks that `clean` has something to do for.
    private var unclean: ContiguousArray<Int> = []
    /// Stacks that were handed out before, or are in store.
    private(set) var count = 0

    private static let colours = 16

    mutating func take(_ size: StackClass, _ kind: StackMemory.Guard) throws(SystemError) -> Stack {
        let block = try firstFree(size)
        let index = blocks[block].free.trailingZeroBitCount
        try blocks[block].install(index, of: size, kind)
        if blocks[block].known & 1 << UInt32(index) != 0 { count -= 1 }
        blocks[block].take(index)
        if blocks[block].free == 0 { haveFree[block / 64] &= ~(1 << UInt64(block % 64)) }
        return stack(index, of: block, size)
    }

    /// Has one more in store.
    mutating func stock(_ size: StackClass, _ kind: StackMemory.Guard) throws(SystemError) {
        var block = blocks.firstIndex { $0.free & ~$0.known != 0 }
        if block == nil { block = try mapSlab(size) }
        let index = (blocks[block!].free & ~blocks[block!].known).trailingZeroBitCount
        try blocks[block!].install(index, of: size, kind)
        blocks[block!].store(index)
        count += 1
    }

    /// The stack at `slot` is cold from now on.  Returns whether its block is another one for `clean`.
    mutating func put(_ slot: UnsafeMutableRawPointer, _ size: StackClass) -> Bool {
        let slab = slabs[slabIndex(of: slot)]
        let block = slab.firstBlock + (slot - slab.low) / size.bytesOfBlock
        let wasClean = blocks[block].isClean
        blocks[block].put((slot - blocks[block].low) / size.bytes)
        count += 1
        noteFree(block)
        if wasClean { unclean.append(block) }
        return wasClean
    }

    /// Gives back to the kernel what one block does not need; false where no block is left for it.
    mutating func cleanOne(_ size: StackClass, _ kind: StackMemory.Guard) -> Bool {
        guard let block = unclean.popLast() else { return false }
        blocks[block].clean(size, kind)
        return true
    }

    func unmapAll() { for slab in slabs { StackMemory.unmap(slab.low, slab.bytes) } }

    /// Tops of stacks at one distance would share a few sets of the cache.
    private func stack(_ index: Int, of block: Int, _ size: StackClass) -> Stack {
        let slot = blocks[block].slot(index, size)
        let colour = (block * size.stacksOfBlock + index) % ColdStacks.colours
        return Stack(slot: slot, record: slot + size.bytes - GreenThread.recordSize - colour * 64)
    }

    // MARK: Blocks with a free stack

    private mutating func firstFree(_ size: StackClass) throws(SystemError) -> Int {
        while firstWord < haveFree.count {
            if haveFree[firstWord] != 0 { return firstWord * 64 + haveFree[firstWord].trailingZeroBitCount }
            firstWord += 1
        }
        return try mapSlab(size)
    }

    private mutating func noteFree(_ block: Int) {
        haveFree[block / 64] |= 1 << UInt64(block % 64)
        firstWord = min(firstWord, block / 64)
    }

    // MARK: Slabs

    /// The last whose address is not above `slot`.
    private func slabIndex(of slot: UnsafeMutableRawPointer) -> Int {
        var (low, high) = (0, slabs.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if slabs[middle].low <= slot { low = middle } else { high = middle }
        }
        return low
    }

    /// The first slab is small, since most hubs run few green threads.  One stack at least.  Returns its first block.
    private mutating func mapSlab(_ size: StackClass) throws(SystemError) -> Int {
        let bytes = max(size.bytes, (4 << 20) << min(slabs.count, 6))
        let slab = Slab(low: try StackMemory.map(bytes), bytes: bytes, firstBlock: blocks.count)
        slabs.insert(slab, at: slabs.firstIndex { $0.low > slab.low } ?? slabs.count)
        for offset in stride(from: 0, to: bytes, by: size.bytesOfBlock) {
            blocks.append(StackBlock(at: slab.low + offset, of: size))
            if blocks.count > haveFree.count * 64 { haveFree.append(0) }
            noteFree(blocks.count - 1)
        }
        return slab.firstBlock
    }
}
