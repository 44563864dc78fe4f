import Testing

@testable import GreenNet

struct SharedTakersTests {
    /// Of which each other process has one task.
    private func withFullTable(_ body: (SharedTakers, SharedWord) -> Void) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: SharedTakers.bytes, alignment: 64)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: SharedTakers.bytes)
        let words = SharedWord(memory)
        words.value = UInt64(SharedTakers.capacity)
        for entry in 1..<SharedTakers.capacity {
            words[2 * entry].value = ProcessIdentity.own.bits + UInt64(entry)
            words[2 * entry + 1].value = 1
        }
        body(SharedTakers(at: words), words)
    }

    @Test func `a process that has found no entry is found to have its tasks when there is one`() {
        withFullTable { takers, words in
            takers.own.value += 1
            #expect(words[1].value == 1 && takers.needsRoom)
            // Another process is done.
            words[2 * 7 + 1].value = 0
            takers.own.value += 1
            #expect(words[2 * 7].value == ProcessIdentity.own.bits && words[2 * 7 + 1].value == 1)
            #expect(!takers.needsRoom)
            for _ in 0..<2 { takers.ownWithTasks?.value -= 1 }
            #expect(takers.ownWithTasks == nil)
            #expect(words[1].value == 0 && words[2 * 7 + 1].value == 0)
        }
    }

    @Test func `the last entry is used, and the table is no longer than what was used`() {
        withFullTable { takers, words in
            let last = SharedTakers.capacity - 1
            words[2 * last + 1].value = 0
            takers.own.value += 1
            #expect(words[2 * last].value == ProcessIdentity.own.bits && words[2 * last + 1].value == 1)
            #expect(takers.processes.count == last)
            words.value = 3
            #expect(takers.processes.count == 2)
        }
    }
}
