import TestSupport
import Testing

@testable import GreenNet

/// Queues whose items come from async code.
struct GreenQueueFeedTests {
    @Test(arguments: [nil, 0, 1, 10])
    func `a queue gets the elements in their order, and is shut down at their end`(limit: Int?) throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: limit)
            let feeder = queue.feed(from: numbers(to: 100), name: "feeder")
            #expect(feeder.name == "feeder")
            var taken: [Int] = []
            while let item = try queue.next() { taken.append(item) }
            #expect(taken == Array(0..<100))
            #expect(queue.isShutDown)
            try feeder.value()
        }
    }

    @Test func `while the queue is full no further element is asked for`() throws {
        try onHub {
            let (queue, asked) = (GreenQueue<Int>(limit: 2), Count())
            let feeder = queue.feed(
                from: AsyncStream {
                    asked.value += 1
                    return asked.value
                })
            for _ in 0..<20 { try Greenlet.yield() }
            // Two are in the queue, and one waits.
            #expect(asked.value == 3)
            try #expect(queue.take() == 1)
            for _ in 0..<20 { try Greenlet.yield() }
            #expect(asked.value == 4)
            feeder.kill()
            try feeder.join()
        }
    }

    @Test func `an error of the sequence shuts the queue down, and is the green thread's`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let feeder = queue.feed(
                from: AsyncThrowingStream<Int, any Error> { continuation in
                    continuation.yield(1)
                    continuation.finish(throwing: Failure(2))
                })
            try #expect(queue.take() == 1)
            #expect(throws: WaitError.closed) { try queue.take() }
            #expect(throws: Failure(2)) { try feeder.value() }
        }
    }

    @Test func `a feeder that is killed before it begins shuts the queue down`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let feeder = queue.feed(from: AsyncStream<Int> { _ in })
            feeder.kill()
            let item = try queue.next(until: .after(.seconds(10)))
            #expect(item == nil)
        }
    }

    @Test func `a kill cancels the iteration, and shuts the queue down`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let isCancelled = RemoteResult<Void>()
            let stream = AsyncStream<Int> { continuation in
                continuation.onTermination = { reason in
                    if case .cancelled = reason { isCancelled.set(()) }
                }
            }
            let feeder = queue.feed(from: stream)
            for _ in 0..<3 { try Greenlet.yield() }
            feeder.kill()
            #expect(throws: WaitError.closed) { try queue.take() }
            try feeder.join()
            #expect(feeder.state == .killed)
            try isCancelled.value()
        }
    }

    @Test func `a queue that is shut down ends its feeder`() throws {
        try onHub {
            let (queue, channel) = (GreenQueue<Int>(), RemoteChannel<Int>())
            let feeder = queue.feed(from: channel)
            try channel.put(1)
            try #expect(queue.take() == 1)
            queue.shutDown()
            try channel.put(2)
            try feeder.value()
            try channel.put(3)
            #expect(channel.tryTake() == 3)
        }
    }

    @Test func `items of another hub's tasks come through a channel`() throws {
        try onHub {
            let (queue, channel) = (GreenQueue<Int>(limit: 3), RemoteChannel<Int>(limit: 1))
            queue.feed(from: channel)
            try TaskThreads.with { tasks in
                let giver = tasks.start {
                    for number in 0..<500 { try await channel.put(number) }
                    channel.close()
                }
                var taken: [Int] = []
                while let item = try queue.next() { taken.append(item) }
                try giver.value()
                #expect(taken == Array(0..<500))
            }
        }
    }

    private func numbers(to count: Int) -> AsyncStream<Int> {
        AsyncStream { continuation in
            for number in 0..<count { continuation.yield(number) }
            continuation.finish()
        }
    }
}

/// Touched on one hub.
private final class Count: @unchecked Sendable {
    var value = 0
}
