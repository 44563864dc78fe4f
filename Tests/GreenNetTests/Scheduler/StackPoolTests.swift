import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Stacks alone, with no green thread on them.
struct StackPoolTests {
    private static let guardKinds: [StackMemory.Guard] = [.best, .mprotect]

    @Test func `a stack has its record at the top, room below, and a guard under it`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        for _ in 0..<40 {
            let thread = try pool.take()
            let (slot, low, high) = try bounds(of: thread)
            #expect(UnsafeMutableRawPointer(thread.record) == high)
            #expect(low - slot == StackPool.guardSize)
            #expect(high + GreenThread.recordSize <= slot + StackPool.stackSize)
            #expect(high - low > StackPool.stackSize - StackPool.guardSize - 4096)
            #expect(UInt(bitPattern: slot) % 4096 == 0)
            #expect(UInt(bitPattern: high) % 64 == 0)
        }
    }

    @Test func `stacks do not overlap`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let slots = try (0..<200).map { _ in try bounds(of: pool.take()).slot }.sorted()
        for (slot, next) in zip(slots, slots.dropFirst()) { #expect(next - slot >= StackPool.stackSize) }
    }

    @Test func `tops lie at different distances from the stride, so that they share no cache sets`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let colours = try Set((0..<64).map { _ in UInt(bitPattern: try pool.take().record) % 4096 })
        #expect(colours.count == 16)
    }

    @Test(arguments: guardKinds)
    func `the guard is untouchable, the stack above it is not`(kind: StackMemory.Guard) throws {
        var pool = StackPool()
        pool.guardKind = kind
        defer { pool.unmapAll() }
        for _ in 0..<20 {
            let (slot, low, high) = try bounds(of: pool.take())
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
        let count = StackPool.warmLimit + 10
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
        let threads = try (0..<3).map { _ in try pool.take() }
        #expect(pool.cached == 0)
        for thread in threads { pool.give(thread) }
        #expect(pool.cached == 3)
        let again = try (0..<3).map { _ in try pool.take() }
        #expect(again == threads.reversed())
        #expect(pool.cached == 0)
    }

    @Test func `a reused record is as new`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let thread = try pool.take()
        let before = try bounds(of: thread)
        thread.id = 7
        thread.setKilled()
        thread.shields = 1
        thread.setStarted()
        thread.deadlineIndex = 7
        pool.give(thread)
        let again = try pool.take()
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
        let count = StackPool.warmLimit + 100
        let slots = try takeAndGive(count, from: &pool)
        let resident = slots.reduce(0) { $0 + residentPages(of: $1) }
        #expect(resident >= count)
        #expect(pool.needsTrimming)
        while pool.needsTrimming { pool.trim() }
        #expect(pool.cached == count)
        let left = slots.reduce(0) { $0 + residentPages(of: $1) }
        #expect(left <= resident - 100)
        #expect(slots.count { residentPages(of: $0) > 0 } == StackPool.warmLimit)
    }

    @Test func `a trim does a few at a time, and none without need`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        _ = try takeAndGive(StackPool.warmLimit, from: &pool)
        #expect(!pool.needsTrimming)
        // Leave more stacks than one trim takes.
        _ = try takeAndGive(StackPool.warmLimit + 100, from: &pool)
        pool.trim()
        #expect(pool.needsTrimming)
        pool.trim()
        #expect(!pool.needsTrimming)
        #expect(pool.cached == StackPool.warmLimit + 100)
    }

    @Test func `cold stacks are used again before new ones are mapped`() throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let slots = try takeAndGive(StackPool.warmLimit + 50, from: &pool)
        while pool.needsTrimming { pool.trim() }
        let again = try takeAndGive(StackPool.warmLimit + 50, from: &pool)
        #expect(Set(again) == Set(slots))
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
            let count = StackPool.warmLimit * 2
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
    private func takeAndGive(_ count: Int, from pool: inout StackPool) throws -> [UnsafeMutableRawPointer] {
        let threads = try (0..<count).map { _ in try pool.take() }
        return try threads.map { thread in
            pool.give(thread)
            return try bounds(of: thread).slot
        }
    }

    private func residentPages(of slot: UnsafeMutableRawPointer) -> Int {
        let pages = StackPool.stackSize / 4096
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: pages) { state in
            mincore(slot, StackPool.stackSize, state.baseAddress!) == 0 ? state.count { $0 & 1 != 0 } : -1
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
