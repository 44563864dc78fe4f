import TestSupport
import Testing

@testable import GreenNet

struct GreenQueueTests {
    // MARK: Order

    @Test func `the oldest item comes first, the youngest, or the least`() throws {
        try onHub {
            func drained(_ queue: GreenQueue<Int>) throws -> [Int] {
                for number in [3, 1, 2, 5, 4, 1] { try queue.put(number) }
                #expect(queue.count == 6)
                return (0..<6).map { _ in queue.tryTake()! }
            }
            try #expect(drained(GreenQueue()) == [3, 1, 2, 5, 4, 1])
            try #expect(drained(.lifo()) == [1, 4, 5, 2, 1, 3])
            try #expect(drained(.priority(by: <)) == [1, 1, 2, 3, 4, 5])
        }
    }

    @Test func `of items with the same priority the oldest comes first`() throws {
        try onHub {
            let queue = GreenQueue<(Int, Int)>.priority { $0.0 < $1.0 }
            var random = SeededRandom(seed: 1)
            for number in 0..<1000 { try queue.put((Int.random(in: 0..<10, using: &random), number)) }
            var last = (-1, -1)
            while let item = queue.tryTake() {
                #expect(last < item)
                last = item
            }
        }
    }

    @Test func `the ring keeps the order while it grows and turns`() {
        var ring = Ring<Int>()
        var (put, taken) = (0, 0)
        var random = SeededRandom(seed: 2)
        for _ in 0..<2000 {
            if Bool.random(using: &random) || put - taken < 3 {
                ring.append(put)
                put += 1
            } else {
                let oldest = ring.oldest
                let next = ring.popFirst()
                #expect(oldest == taken && next == taken)
                taken += 1
            }
            let count = ring.count
            #expect(count == put - taken)
        }
        while let next = ring.popFirst() {
            #expect(next == taken)
            taken += 1
        }
        #expect(taken == put)
    }

    @Test func `the items of a ring and of a queue are released with it`() throws {
        for turns in 0..<6 {
            let isLetGo = isLetGo { object in
                var ring = Ring<FailureObject>()
                for _ in 0..<turns + 1 { ring.append(object) }
                for _ in 0..<turns { _ = ring.popFirst() }
            }
            #expect(isLetGo, "after \(turns) were taken")
        }
        try onHub {
            for queue in [{ GreenQueue<FailureObject>() }, { .lifo() }, { .priority { _, _ in false } }] {
                try #expect(isLetGo { object in try queue().put(object) })
            }
        }
    }

    /// Whether the item that `body` was given is released once `body` has returned.
    private func isLetGo(_ body: (FailureObject) throws -> Void) rethrows -> Bool {
        weak var item: FailureObject?
        try {
            let object = FailureObject()
            item = object
            try body(object)
        }()
        return item == nil
    }

    private final class Numbers {
        let (first, second): (Int, Int)
        init(_ first: Int, _ second: Int) { (self.first, self.second) = (first, second) }
    }

    @Test func `an item that waits to be put can be peeked at, whatever lies behind it in memory`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 0)
            let numbers = Numbers(3, 1)
            let putter = spawn { try queue.put(numbers.first) }
            try Greenlet.yield()
            #expect(queue.tryPeek() == 3)
            try #expect(queue.peek(until: .after(.seconds(1))) == 3)
            try #expect(queue.take() == 3)
            try putter.value()
            #expect(queue.tryPeek() == nil)
        }
    }

    @Test(arguments: [0, 1])
    func `items without a size are passed to waiting green threads too`(limit: Int) throws {
        try onHub {
            let queue = GreenQueue<Void>(limit: limit)
            let putter = spawn {
                for _ in 0..<5 { try queue.put((), until: .never) }
            }
            try Greenlet.yield()
            #expect(queue.tryPeek() != nil)
            for _ in 0..<5 { try queue.take(until: .after(.seconds(1))) }
            try putter.value()
            let taker = spawn { try queue.take() }
            try Greenlet.yield()
            #expect(queue.balance == -1)
            try queue.put(())
            try taker.value()
        }
    }

    @Test func `an item that is not put is not peeked at`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 0)
            let peeker = spawn { try queue.peek() }
            try Greenlet.yield()
            try #expect(!queue.tryPut(1))
            let putter = spawn { try queue.put(2) }
            try #expect(peeker.value() == 2)
            try #expect(queue.take() == 2)
            try putter.value()
        }
    }

    @Test func `an item that was taken is not held any more`() throws {
        try onHub {
            for queue in [GreenQueue<FailureObject>(), .lifo(), .priority { _, _ in false }] {
                weak var item: FailureObject?
                try {
                    let object = FailureObject()
                    item = object
                    try queue.put(object)
                }()
                #expect(item != nil)
                _ = queue.tryTake()
                #expect(item == nil)
            }
        }
    }

    // MARK: Waiting

    @Test func `take waits for an item, first come first served`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let takers = (0..<3).map { _ in spawn { try queue.take() } }
            try Greenlet.yield()
            #expect(queue.balance == -3)
            for number in 0..<3 { try queue.put(number) }
            #expect(queue.isEmpty)
            // The items are handed over: a newcomer finds none.
            #expect(queue.tryTake() == nil)
            for (number, taker) in takers.enumerated() { try #expect(taker.value() == number) }
        }
    }

    @Test func `put waits for room, first come first served`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 2)
            let putters = (0..<5).map { number in spawn { try queue.put(number) } }
            try Greenlet.yield()
            #expect(queue.isFull && queue.count == 2 && queue.balance == 3)
            try #expect(!queue.tryPut(9))
            for number in 0..<5 { try #expect(queue.take() == number) }
            for putter in putters { try putter.value() }
        }
    }

    @Test func `with a deadline, take and put throw when it has passed`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 1)
            #expect(throws: WaitError.deadlinePassed) { try queue.take(until: .now) }
            #expect(throws: WaitError.deadlinePassed) { try queue.peek(until: .after(.milliseconds(2))) }
            try queue.put(1)
            #expect(throws: WaitError.deadlinePassed) { try queue.put(2, until: .now) }
            #expect(throws: WaitError.deadlinePassed) { try queue.put(2, until: .after(.milliseconds(2))) }
            try #expect(queue.take() == 1)
            #expect(queue.isEmpty)
        }
    }

    @Test func `a green thread that gave up leaves no trace`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 1)
            let killed = spawn { try queue.take() }
            let limited = spawn { try withTimeout(.milliseconds(1)) { try queue.take() } }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: TimedOut.self) { try limited.value() }
            try queue.put(1)
            let killedPutter = spawn { try queue.put(2) }
            let next = spawn { try queue.put(3) }
            try Greenlet.yield()
            killedPutter.kill()
            try killedPutter.join()
            try #expect(queue.take() == 1)
            try next.value()
            try #expect(queue.take() == 3)
            #expect(killed.state == .killed && killedPutter.state == .killed)
        }
    }

    @Test func `in the same pass as a kill, no item is lost`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 1)
            let taker = spawn { try queue.take() }
            try Greenlet.yield()
            // If the put comes before the kill, the killed green thread has the item.
            try queue.put(1)
            taker.kill()
            try #expect(taker.value() == 1)
            // If the kill comes before the put, the item stays in the queue.
            let other = spawn { try queue.take() }
            try Greenlet.yield()
            other.kill()
            try queue.put(2)
            try other.join()
            #expect(queue.count == 1)
            // If the item is taken in before the kill, it was put once.
            let putter = spawn { try queue.put(3) }
            try Greenlet.yield()
            try #expect(queue.take() == 2)
            putter.kill()
            try putter.value()
            try #expect(queue.take() == 3)
            #expect(queue.isEmpty)
        }
    }

    @Test func `a larger limit lets waiting puts in, a smaller one drops no item`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 1)
            let putters = (0..<4).map { number in spawn { try queue.put(number) } }
            try Greenlet.yield()
            queue.limit = 3
            #expect(queue.count == 3)
            queue.limit = 1
            #expect(queue.count == 3 && queue.isFull)
            queue.limit = nil
            for putter in putters { try putter.value() }
            #expect(queue.count == 4)
        }
    }

    @Test func `peek waits for an item and leaves it`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let peekers = (0..<2).map { _ in spawn { try queue.peek() } }
            let taker = spawn { try queue.take() }
            try Greenlet.yield()
            try queue.put(1)
            for peeker in peekers { try #expect(peeker.value() == 1) }
            try #expect(taker.value() == 1)
            try queue.put(2)
            try #expect(queue.peek() == 2)
            #expect(queue.tryPeek() == 2 && queue.count == 1)
        }
    }

    @Test func `a wait that no green thread can end is reported`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let error = #expect(throws: WaitError.self) { try queue.peek() }
            guard case .blockedForever(let list) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(list.waiting.contains("green thread 1 (main): waits for an item of a queue"))
        }
    }

    @Test func `a put in a callback of the loop wakes a taker, and a take makes room`() throws {
        try onHub {
            let queue = Confined(GreenQueue<Int>(limit: 1))
            let remote = Hub.current.remote
            let taker = spawn { try queue.value.take() }
            try Greenlet.yield()
            _ = remote.callInHub {
                #expect((try? queue.value.tryPut(1)) == true)
                #expect((try? queue.value.tryPut(2)) == true)
                #expect((try? queue.value.tryPut(3)) == false)
            }
            try #expect(taker.value() == 1)
            let putter = spawn { try queue.value.put(4) }
            try Greenlet.yield()
            _ = remote.callInHub { #expect(queue.value.tryTake() == 2) }
            try putter.value()
            try #expect(queue.value.take() == 4)
        }
    }

    @Test func `waitAny returns a queue that has an item`() throws {
        try onHub {
            let (queue, other) = (GreenQueue<Int>(), GreenQueue<Int>())
            try #expect(waitAny([queue, other], until: .now) == nil)
            let waiter = spawn { try waitAny([queue, other]) === other }
            try Greenlet.yield()
            try other.put(1)
            try #expect(waiter.value())
            #expect(other.count == 1)
            queue.shutDown()
            try #expect(waitAny([queue, other]) === queue)
        }
    }

    // MARK: Tasks

    @Test func `joinTasks waits until all items that were put are done`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            try #expect(queue.joinTasks(until: .now))
            for number in 0..<10 { try queue.put(number) }
            try #expect(!queue.joinTasks(until: .now))
            var done = 0
            let workers = (0..<3).map { _ in
                spawn {
                    while try queue.next() != nil {
                        try Greenlet.yield()
                        done += 1
                        queue.taskDone()
                    }
                }
            }
            try #expect(queue.joinTasks())
            #expect(done == 10 && queue.unfinishedTasks == 0)
            queue.shutDown()
            for worker in workers { try worker.value() }
        }
    }

    @Test func `taskDone for more items than were put stops the program`() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            GreenQueue<Int>().taskDone()
        }
        if let result { expectProgrammingError("taskDone() was called for more items than were put", in: result) }
    }

    // MARK: The end

    @Test func `a queue that is shut down gives its items and takes no more`() throws {
        try onHub {
            let queue = GreenQueue<Int>(limit: 2)
            try queue.put(1)
            try queue.put(2)
            let putter = spawn { try queue.put(3) }
            try Greenlet.yield()
            queue.shutDown()
            #expect(throws: WaitError.closed) { try putter.value() }
            #expect(throws: WaitError.closed) { try queue.put(4) }
            #expect(throws: WaitError.closed) { try queue.tryPut(4) }
            try #expect(rest(of: queue) == [1, 2])
            #expect(throws: WaitError.closed) { try queue.take() }
            #expect(throws: WaitError.closed) { try queue.peek() }
            try #expect(queue.next() == nil)
        }
    }

    @Test func `a queue that is shut down at once drops its items, and those tasks count as done`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            for number in 0..<3 { try queue.put(number) }
            try #expect(queue.take() == 0)
            let joiner = spawn { try queue.joinTasks() }
            try Greenlet.yield()
            queue.shutDown(atOnce: true)
            #expect(queue.isEmpty && queue.unfinishedTasks == 1)
            queue.taskDone()
            try #expect(joiner.value())
            #expect(throws: WaitError.closed) { try queue.take() }
        }
    }

    @Test func `waiting green threads throw when the queue is shut down`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let taker = spawn { try queue.take() }
            let peeker = spawn { try queue.peek() }
            let loop = spawn { try rest(of: queue) }
            try Greenlet.yield()
            queue.shutDown()
            #expect(throws: WaitError.closed) { try taker.value() }
            #expect(throws: WaitError.closed) { try peeker.value() }
            try #expect(loop.value().isEmpty)
        }
    }

    @Test
    func
        `a loop over a queue that is shut down ends with its last item, and a kill or a time limit leaves it as an error`()
        throws
    {
        try onHub {
            let queue = GreenQueue<Int>()
            var ended = 0
            func loop() throws -> Int {
                var sum = 0
                while let item = try queue.next() { sum += item }
                ended += 1
                return sum
            }
            let killed = spawn { try loop() }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { try loop() } }
            #expect(throws: WaitError.deadlinePassed) { try queue.next(until: .after(.milliseconds(1))) }
            #expect(ended == 0)
            for number in 1...3 { try queue.put(number) }
            queue.shutDown()
            try #expect(loop() == 6)
            #expect(ended == 1)
        }
    }

    @Test func `a loop over a queue to which no green thread puts throws blockedForever`() throws {
        try onHub {
            let queue = GreenQueue<Int>()
            let error = #expect(throws: WaitError.self) { while try queue.next() != nil {} }
            guard case .blockedForever = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }
}

/// Takes all items until the queue is shut down.
func rest<Item>(of queue: GreenQueue<Item>) throws -> [Item] {
    var items: [Item] = []
    while let item = try queue.next() { items.append(item) }
    return items
}

/// A value for a job that runs on the OS thread where it was made.
private struct Confined<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
