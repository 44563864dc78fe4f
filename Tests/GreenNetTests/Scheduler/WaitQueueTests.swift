import TestSupport
import Testing

@testable import GreenNet

/// The two intrusive lists, with records that belong to no hub.
struct WaitQueueTests {
    @Test func `a wait queue keeps the order of arrival`() throws {
        try withRecords(4) { threads, queue in
            for thread in threads { queue.append(thread) }
            #expect(forwards(queue) == threads)
            #expect(backwards(queue) == threads.reversed())
            #expect(threads.map { $0.queue } == Array(repeating: queue, count: 4))
        }
    }

    @Test(arguments: permutations(of: [0, 1, 2, 3]))
    func `each green thread can leave a wait queue at any time`(order: [Int]) throws {
        try withRecords(4) { threads, queue in
            for thread in threads { queue.append(thread) }
            var left = threads
            for index in order {
                queue.remove(threads[index])
                left.removeAll { $0 == threads[index] }
                #expect(threads[index].queue == nil)
                #expect(forwards(queue) == left)
                #expect(backwards(queue) == left.reversed())
            }
            // A thread may come back.
            queue.append(threads[0])
            #expect(forwards(queue) == [threads[0]])
        }
    }

    @Test func `a ready queue keeps the order of arrival`() throws {
        try withRecords(3) { threads, _ in
            var ready = ReadyQueue()
            #expect(ready.isEmpty)
            #expect(ready.popFirst() == nil)
            for thread in threads { ready.append(thread) }
            #expect(!ready.isEmpty)
            #expect(ready.popFirst() == threads[0])
            ready.append(threads[0])
            for expected in [threads[1], threads[2], threads[0]] { #expect(ready.popFirst() == expected) }
            #expect(ready.isEmpty)
            ready.append(threads[2])
            #expect(ready.popFirst() == threads[2])
            #expect(ready.popFirst() == nil)
        }
    }

    @Test func `wakeAll wakes the green threads that are in the queue now, in order, and none that comes back`() throws
    {
        try onHub {
            let queue = WaitQueue.make()
            defer { queue.deallocate() }
            var trace: [String] = []
            let greenlets = (0..<3).map { number in
                spawn {
                    for round in 1...2 {
                        let wake = Hub.currentThread.wait(for: .event, in: queue)
                        trace.append("\(number) \(wake) \(round)")
                    }
                }
            }
            try Greenlet.yield()
            queue.wakeAll()
            #expect(queue.isEmpty)
            try Greenlet.yield()
            #expect(trace == ["0 event 1", "1 event 1", "2 event 1"])
            queue.wakeAll(.closed)
            try Greenlet.yield()
            #expect(trace.suffix(3) == ["0 closed 2", "1 closed 2", "2 closed 2"])
            for greenlet in greenlets { #expect(greenlet.hasEnded) }
        }
    }

    @Test func `the first to wake a green thread wins`() throws {
        try onHub {
            let queue = WaitQueue.make()
            defer { queue.deallocate() }
            let greenlet = spawn { Hub.currentThread.wait(for: .event, in: queue) }
            try Greenlet.yield()
            let thread = try #require(greenlet.thread)
            thread.wake(.closed)
            thread.wake(.event)
            greenlet.kill()
            #expect(queue.isEmpty)
            try #expect(greenlet.value() == .closed)
        }
    }

    // MARK: Helpers

    private func withRecords(
        _ count: Int, _ body: ([GreenThread], WaitQueue) throws -> Void
    ) throws {
        var pool = StackPool()
        defer { pool.unmapAll() }
        let queue = WaitQueue.make()
        defer { queue.deallocate() }
        try body(try (0..<count).map { _ in try pool.take(.standard) }, queue)
    }

    private func forwards(_ queue: WaitQueue) -> [GreenThread] {
        Array(sequence(first: queue.first) { $0?.next }.prefix { $0 != nil }.map { $0! })
    }

    private func backwards(_ queue: WaitQueue) -> [GreenThread] {
        Array(sequence(first: queue.last) { $0?.previous }.prefix { $0 != nil }.map { $0! })
    }
}

private func permutations(of items: [Int]) -> [[Int]] {
    guard !items.isEmpty else { return [[]] }
    return items.flatMap { item in
        permutations(of: items.filter { $0 != item }).map { [item] + $0 }
    }
}
