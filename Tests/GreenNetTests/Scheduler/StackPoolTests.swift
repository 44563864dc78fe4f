import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Stacks alone, with no green thread on them.
struct StackPoolTests {
    private static let guardKinds: [StackMemory.Guard] = [.best, .mprotect]
    private static let sizes = (0..<StackClass.count).map(StackClass.init(index:))
    /// Of the standard size.
    private let stackSize = StackClass.standard.bytes
    private let warmStacks = StackPool.warmLimit / StackClass.standard.bytes

    @Test(arguments: sizes)
    func `a stack has its record at the top, room below, and a guard under it`(size: StackClass) throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        for _ in 0..<40 {
            let thread = try pool.take(size)
            let (slot, low, high) = try bounds(of: thread)
            #expect(UnsafeMutableRawPointer(thread.record) == high)
            #expect(low - slot == StackPool.guardSize)
            #expect(high + GreenThread.recordSize <= slot + size.bytes)
            #expect(high - low > size.bytes - StackPool.guardSize - 4096)
            #expect(thread.stackClass == size)
            #expect(UInt(bitPattern: slot) % 4096 == 0)
            #expect(UInt(bitPattern: high) % 64 == 0)
        }
    }

    @Test(arguments: sizes)
    func `stacks do not overlap`(size: StackClass) throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let slots = try (0..<200).map { _ in try bounds(of: pool.take(size)).slot }.sorted()
        for (slot, next) in zip(slots, slots.dropFirst()) { #expect(next - slot >= size.bytes) }
    }

    @Test func `tops lie at different distances from the stride, so that they share no cache sets`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let colours = try Set((0..<64).map { _ in UInt(bitPattern: try pool.take(.standard).record) % 4096 })
        #expect(colours.count == 16)
    }

    @Test(arguments: guardKinds)
    func `the guard is untouchable, the stack above it is not`(kind: StackMemory.Guard) throws {
        var pool = StackPool()
        pool.guardKind = kind
        defer { pool.unmapAll() }
        for _ in 0..<20 {
            let (slot, low, high) = try bounds(of: pool.take(.standard))
            for page in stride(from: slot, to: low, by: 4096) { #expect(!isTouchable(page)) }
            #expect(!isTouchable(low - 1))
            #expect(isTouchable(low))
            #expect(isTouchable(high - 1))
        }
    }

    @Test(arguments: guardKinds)
    func `the guard is there when a stack is used again, also after its pages went`(kind: StackMemory.Guard) throws {
        var pool = StackPool()
        pool.guardKind = kind
        defer { pool.unmapAll() }
        let count = warmStacks + 100
        let slots = try takeAndGive(count, from: &pool)
        while pool.needsTrimming { pool.trim() }
        let again = try (0..<count).map { _ in try bounds(of: pool.take(.standard)) }
        #expect(Set(again.map(\.slot)) == Set(slots))
        for (slot, low, high) in again.suffix(120) + again.prefix(2) {
            #expect(!isTouchable(slot))
            #expect(!isTouchable(low - 1))
            #expect(isTouchable(low))
            #expect(isTouchable(high - 1))
        }
    }

    @Test func `the last stack given is the first one taken`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let threads = try (0..<3).map { _ in try pool.take(.standard) }
        #expect(pool.cached == 0)
        for thread in threads { pool.give(thread) }
        #expect(pool.cached == 3)
        let again = try (0..<3).map { _ in try pool.take(.standard) }
        #expect(again == threads.reversed())
        #expect(pool.cached == 0)
    }

    @Test func `a stack is used again for its own size only`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let threads = try Self.sizes.map { try pool.take($0) }
        for thread in threads { pool.give(thread) }
        #expect(pool.cached == threads.count)
        for (size, thread) in zip(Self.sizes, threads).reversed() { try #expect(pool.take(size) == thread) }
        #expect(pool.cached == 0)
        for (size, thread) in zip(Self.sizes, threads) { try #expect(pool.take(size) != thread) }
    }

    @Test func `a reused record is as new`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let thread = try pool.take(.standard)
        let before = try bounds(of: thread)
        thread.id = 7
        thread.setKilled()
        thread.shields = 1
        thread.setStarted()
        thread.deadlineIndex = 7
        pool.give(thread)
        let again = try pool.take(.standard)
        #expect(again == thread)
        #expect(again.id == 0)
        #expect(again.shields == 0)
        #expect(!again.isCancelled)
        #expect(!again.isStarted)
        #expect(again.deadlineIndex == -1)
        try #expect(bounds(of: again) == before)
    }

    @Test func `unused stacks stay warm up to a limit, and beyond it their pages go back`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let count = warmStacks + 100
        let slots = try takeAndGive(count, from: &pool)
        let resident = slots.reduce(0) { $0 + residentPages(of: $1) }
        #expect(resident >= count)
        #expect(pool.needsTrimming)
        while pool.needsTrimming { pool.trim() }
        #expect(pool.cached == count)
        let left = slots.reduce(0) { $0 + residentPages(of: $1) }
        #expect(left <= resident - 100)
        #expect(slots.count { residentPages(of: $0) > 0 } == warmStacks)
    }

    @Test func `a trim does a few at a time, and none without need`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        _ = try takeAndGive(warmStacks, from: &pool)
        #expect(!pool.needsTrimming)
        // Leave more stacks than one trim takes.
        _ = try takeAndGive(warmStacks + 300, from: &pool)
        pool.trim()
        #expect(pool.needsTrimming)
        var trims = 1
        while pool.needsTrimming {
            pool.trim()
            trims += 1
        }
        // Of 300 stacks, 256 become cold at once; their 38 blocks or 39 are given back 32 at a time.
        #expect(2...4 ~= trims)
        #expect(pool.cached == warmStacks + 300)
    }

    @Test func `cold stacks are used again before new ones are mapped`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let slots = try takeAndGive(warmStacks + 50, from: &pool)
        while pool.needsTrimming { pool.trim() }
        let again = try takeAndGive(warmStacks + 50, from: &pool)
        #expect(Set(again) == Set(slots))
    }

    @Test func `of two sizes the one with more warm addresses is trimmed`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let mega = StackClass(holding: 1 << 20)
        // Together all that may stay warm.
        let fewer = try takeAndGive(127, of: mega, from: &pool)
        let more = try takeAndGive(129 * 4, from: &pool)
        #expect(!pool.needsTrimming)
        let last = try takeAndGive(8, of: .smallest, from: &pool)
        #expect(pool.needsTrimming)
        while pool.needsTrimming { pool.trim() }
        #expect(fewer.allSatisfy { residentPages(of: $0, mega) > 0 })
        #expect(last.allSatisfy { residentPages(of: $0, .smallest) > 0 })
        #expect(more.count { residentPages(of: $0) == 0 } == 2)
    }

    @Test func `a stack above the limit is trimmed as soon as it is free, with all its pages`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let size = StackClass(holding: 2 * StackPool.warmLimit)
        let thread = try pool.take(size)
        let (slot, low, _) = try bounds(of: thread)
        for page in 0..<100 { (low + page * 4096).storeBytes(of: 1, as: UInt8.self) }
        #expect(residentPages(of: slot, size) >= 100)
        pool.give(thread)
        #expect(pool.needsTrimming)
        pool.trim()
        #expect(!pool.needsTrimming)
        #expect(residentPages(of: slot, size) == 0)
        #expect(pool.cached == 1)
        try #expect(pool.take(size) == thread)
        #expect(!isTouchable(low - 1) && isTouchable(low))
    }

    // MARK: After a burst

    /// Those of the smallest size lie 32 to a block, those of 2 MiB alone.
    @Test(arguments: [64 << 10, 1 << 20, 2 << 20, 4 << 20].map { StackClass(holding: $0) }, guardKinds)
    func `a block of which no stack is in use keeps neither pages nor guards`(
        size: StackClass, kind: StackMemory.Guard
    ) throws {
        var pool = StackPool()
        pool.guardKind = kind
        defer { pool.unmapAll() }
        let count = StackPool.warmLimit / size.bytes + 3 * size.stacksOfBlock
        let slots = try takeAndGive(count, of: size, from: &pool)
        pool.settle(at: 0)
        while pool.needsTrimming { pool.trim() }
        let cold = slots.sorted().suffix(2 * size.stacksOfBlock)
        #expect(cold.allSatisfy { residentPages(of: $0, size) == 0 && isTouchable($0) })
    }

    @Test(arguments: guardKinds)
    func `a stack in use is not touched when its neighbours lose their pages`(kind: StackMemory.Guard) throws {
        var pool = StackPool()
        pool.guardKind = kind
        defer { pool.unmapAll() }
        let threads = try (0..<warmStacks).map { _ in try pool.take(.standard) }
        let slots = threads.map(\.slot!)
        let kept = stride(from: 3, to: warmStacks, by: 8).map { threads[$0] }
        for thread in kept { thread.id = 77 }
        for (index, thread) in threads.enumerated() where index % 8 != 3 { pool.give(thread) }
        pool.settle(at: 0)
        while pool.needsTrimming { pool.trim() }
        let warm = StackPool.reserve / StackClass.standard.bytes
        #expect(slots.count { residentPages(of: $0) > 0 } == kept.count + warm)
        for thread in kept {
            #expect(thread.id == 77)
            #expect(!isTouchable(thread.slot) && !isTouchable(thread.stackLow - 1) && isTouchable(thread.stackLow))
        }
        try #expect((0..<warmStacks - kept.count).allSatisfy { _ in try !kept.contains(pool.take(.standard)) })
    }

    @Test func `what stays warm when the pool settles are neighbours`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let threads = try (0..<warmStacks).map { _ in try pool.take(.standard) }
        let slots = threads.map(\.slot!)
        for index in 0..<warmStacks { pool.give(threads[index * 389 % warmStacks]) }
        #expect(pool.needsSettling && !pool.needsTrimming)
        pool.settle(at: 0)
        while pool.needsTrimming { pool.trim() }
        #expect(!pool.needsSettling)
        let warm = slots.count { residentPages(of: $0) > 0 }
        #expect(warm == StackPool.reserve / StackClass.standard.bytes)
        // They may begin and end in the middle of a block, and have a gap between two slabs.
        let blocks = Set(slots.filter { residentPages(of: $0) > 0 }.map { UInt(bitPattern: $0) >> 21 })
        #expect(blocks.count <= warm / StackClass.standard.stacksOfBlock + 3)
        #expect(pool.cached == warmStacks)
    }

    @Test(arguments: [(0, 128), (32 << 20, 128), (64 << 20, 256), (256 << 20, 1000), (1 << 40, 1000)])
    func `a pool settles at what is needed, between its reserve and its limit`(bytes: Int, count: Int) throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let slots = try takeAndGive(1000, from: &pool)
        pool.settle(at: bytes)
        while pool.needsTrimming { pool.trim() }
        #expect(slots.count { residentPages(of: $0) > 0 } == count)
        // Later, as many as before may be warm.
        _ = try takeAndGive(warmStacks, from: &pool)
        #expect(!pool.needsTrimming)
    }

    @Test func `stacks are taken from the lowest block that has one`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let threads = try (0..<warmStacks + 600).map { _ in try pool.take(.standard) }
        let slots = threads.map(\.slot!)
        // The second half, backwards, and one of the first block.
        for thread in threads.suffix(warmStacks).reversed() + [threads[2]] { pool.give(thread) }
        pool.settle(at: 0)
        while pool.needsTrimming { pool.trim() }
        let cold = ([slots[2]] + slots.suffix(warmStacks)).filter { residentPages(of: $0) == 0 }
        for _ in 0..<128 { _ = try pool.take(.standard) }
        let next = try (0..<16).map { _ in try pool.take(.standard).slot! }
        #expect(next == Array(cold.prefix(16)))
    }

    @Test func `stacks of all sizes are unmapped`() throws {
        var pool = StackPool()
        let slots = try Self.sizes.flatMap { size in try takeAndGive(3, of: size, from: &pool) }
        pool.unmapAll()
        for slot in slots { #expect(residentPages(of: slot, .smallest) == -1) }
        #expect(pool.cached == 0)
        #expect(!pool.needsTrimming)
    }

    @Test func `stacks in store are of the size that was asked for`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        pool.give(try pool.take(.smallest))
        try pool.stock(5, of: .standard)
        #expect(pool.cached == 6)
        for count in (1...5).reversed() {
            #expect(pool.cached == 1 + count)
            _ = try pool.take(.standard)
        }
    }

    @Test func `an idle stack costs two pages at most`() throws {
        try onHub {
            let sleepers = (0..<100).map { _ in spawn { try Greenlet.sleep(until: .never) } }
            try Greenlet.yield()
            // A sanitizer's frames are several times as large.
            let limit = Sanitizer.active == .none ? 2 : 16
            for sleeper in sleepers {
                let (slot, _, _) = try bounds(of: #require(sleeper.thread))
                #expect(residentPages(of: slot) <= limit)
            }
            for sleeper in sleepers { sleeper.kill() }
        }
    }

    @Test func `the hub trims by itself when many have ended`() throws {
        try onHub {
            let count = warmStacks * 2
            for _ in 0..<count { spawn { try Greenlet.yield() } }
            try Hub.current.run()
            let hub = Hub.current.scheduler
            while hub.fields.pointee.stacks.needsTrimming { try Greenlet.sleep(for: .milliseconds(1)) }
            #expect(hub.fields.pointee.stacks.cached == count)
        }
    }

    // MARK: Helpers

    private typealias Bounds = (
        slot: UnsafeMutableRawPointer, low: UnsafeMutableRawPointer, high: UnsafeMutableRawPointer
    )

    private func bounds(of thread: GreenThread) throws -> Bounds {
        try (
            #require(thread.slot), #require(thread.stackLow), #require(thread.stackHigh)
        )
    }

    /// Takes `count` stacks, touches each, and gives them back in order.
    private func takeAndGive(
        _ count: Int, of size: StackClass = .standard, from pool: inout StackPool
    ) throws -> [UnsafeMutableRawPointer] {
        let threads = try (0..<count).map { _ in try pool.take(size) }
        return try threads.map { thread in
            pool.give(thread)
            return try bounds(of: thread).slot
        }
    }

    /// Negative where it is not mapped.
    private func residentPages(of slot: UnsafeMutableRawPointer, _ size: StackClass = .standard) -> Int {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size.bytes / 4096) { state in
            mincore(slot, size.bytes, state.baseAddress!) == 0 ? state.count { $0 & 1 != 0 } : -1
        }
    }

    /// Whether the kernel can read there.  The call returns EFAULT where the program would get SIGSEGV.
    private func isTouchable(_ address: UnsafeMutableRawPointer) -> Bool {
        var ends: [Int32] = [0, 0]
        pipe(&ends)
        defer { for end in ends { close(end) } }
        return write(ends[1], address, 1) == 1
    }
}
