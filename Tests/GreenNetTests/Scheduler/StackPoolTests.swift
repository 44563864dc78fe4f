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
    func `the guard is still there when a stack is reused, and after its pages went`(kind: StackMemory.Guard) throws {
        var pool = StackPool()
        pool.guardKind = kind
        defer { pool.unmapAll() }
        let count = warmStacks + 10
        let slots = try takeAndGive(count, from: &pool)
        while pool.needsTrimming { pool.trim() }
        for slot in slots.suffix(20) + slots.prefix(2) {
            #expect(!isTouchable(slot))
            #expect(!isTouchable(slot + StackPool.guardSize - 1))
            #expect(isTouchable(slot + StackPool.guardSize))
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
        _ = try takeAndGive(warmStacks + 100, from: &pool)
        pool.trim()
        #expect(pool.needsTrimming)
        pool.trim()
        #expect(!pool.needsTrimming)
        #expect(pool.cached == warmStacks + 100)
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
        #expect(!isTouchable(low - 1) && isTouchable(low))
        #expect(pool.cached == 1)
        try #expect(pool.take(size) == thread)
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
