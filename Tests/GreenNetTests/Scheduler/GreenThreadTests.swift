import Testing

@testable import GreenNet

struct GreenThreadTests {
    @Test func `an optional green thread, wait queue and scheduler are one word each, as the pointers that they wrap`()
    {
        #expect(MemoryLayout<GreenThread?>.size == MemoryLayout<UnsafeRawPointer>.size)
        #expect(MemoryLayout<WaitQueue?>.size == MemoryLayout<UnsafeRawPointer>.size)
        #expect(MemoryLayout<Scheduler?>.size == MemoryLayout<UnsafeRawPointer>.size)
    }

    @Test func `a record has room in four cache lines, and begins with one`() throws {
        #expect(GreenThread.recordSize == 4 * 64)
        var pool = StackPool()
        defer { pool.unmapAll() }
        for _ in 0..<20 { #expect(try UInt(bitPattern: pool.take(.standard).record) % 64 == 0) }
    }
}
