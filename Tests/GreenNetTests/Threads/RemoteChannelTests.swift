import TestSupport
import Testing

@testable import GreenNet

struct RemoteChannelTests {
    @Test(arguments: [nil, 0, 1, 100])
    func `items pass between hubs, each once, those of each OS thread in order`(limit: Int?) throws {
        try onHub(.seconds(60)) {
            let channel = RemoteChannel<(giver: Int, number: Int)>(limit: limit)
            let count = Sanitizer.scaled(2000, address: 500, thread: 300)
            let givers = (0..<3).map { giver in
                TestThread {
                    defer { Hub.current.close() }
                    for number in 0..<count { try channel.put((giver, number)) }
                }
            }
            var seen = Array(repeating: [Int](), count: 3)
            for _ in 0..<3 * count {
                let item = try channel.take()
                seen[item.giver].append(item.number)
            }
            for giver in givers { try giver.value() }
            #expect(seen == Array(repeating: Array(0..<count), count: 3))
            #expect(channel.count == 0)
        }
    }

    @Test func `several hubs take from one channel until it is closed`() throws {
        try onHub(.seconds(60)) {
            let channel = RemoteChannel<Int>(limit: 4)
            let takers = (0..<3).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    var taken: [Int] = []
                    while let item = try channel.next() { taken.append(item) }
                    return taken
                }
            }
            for number in 0..<1000 { try channel.put(number) }
            channel.close()
            let taken = try takers.flatMap { try $0.value() }
            #expect(taken.sorted() == Array(0..<1000))
            #expect(throws: WaitError.closed) { try channel.put(1) }
            #expect(throws: WaitError.closed) { try channel.take() }
        }
    }

    @Test(arguments: [0, 1, 2, 7])
    func `hubs that put and hubs that take by turns lose no item, and none waits for ever`(limit: Int) throws {
        try onHub(.seconds(60)) {
            let channel = RemoteChannel<Int>(limit: limit)
            let count = Sanitizer.scaled(4000, address: 1000, thread: 500)
            let givers = (0..<2).map { giver in
                TestThread {
                    defer { Hub.current.close() }
                    for number in 0..<count {
                        let item = 2 * number + giver
                        if try number % 3 > 0 || !channel.tryPut(item) { try channel.put(item) }
                    }
                }
            }
            let takers = (0..<2).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    var taken: [Int] = []
                    while let item = try channel.next() {
                        taken.append(item)
                        if let item = channel.tryTake() { taken.append(item) }
                    }
                    return taken
                }
            }
            for giver in givers { try giver.value() }
            channel.close()
            let taken = try takers.flatMap { try $0.value() }
            #expect(taken.sorted() == Array(0..<2 * count))
        }
    }

    @Test(arguments: [1, 2, 3, 100])
    func `as many items fit as the limit says, whatever was put and taken before`(limit: Int) throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: limit)
            var (put, taken) = (0, 0)
            for round in 0..<3 * limit {
                while try channel.tryPut(put) { put += 1 }
                #expect(put - taken == limit && channel.count == limit)
                for _ in 0...round % limit {
                    #expect(channel.tryTake() == taken)
                    taken += 1
                }
                #expect(channel.count == put - taken)
            }
        }
    }

    @Test func `green threads that wait to put come in first, in their order, as room is made`() throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: 2)
            let putters = (0..<5).map { number in spawn { try channel.put(number) } }
            try Greenlet.yield()
            #expect(channel.count == 2)
            for number in 0..<3 {
                #expect(channel.tryTake() == number)
                try #expect(!channel.tryPut(9) && channel.count == 2)
            }
            #expect(channel.tryTake() == 3)
            try #expect(channel.tryPut(5))
            try #expect((channel.take(), channel.take()) == (4, 5))
            for putter in putters { try putter.value() }
            #expect(channel.tryTake() == nil)
        }
    }

    @Test func `a closed channel still gives its items, and ends waits that can't succeed`() throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: 1)
            try channel.put(1)
            let putter = spawn { try channel.put(2) }
            try Greenlet.yield()
            channel.close()
            #expect(throws: WaitError.closed) { try putter.value() }
            try #expect(channel.take() == 1)
            let empty = RemoteChannel<Int>()
            let taker = spawn { try empty.take() }
            try Greenlet.yield()
            empty.close()
            #expect(throws: WaitError.closed) { try taker.value() }
            #expect(throws: WaitError.closed) { try empty.tryPut(1) }
        }
    }

    @Test func `tryPut and tryTake work on an OS thread that has no hub`() throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: 1)
            let other = TestThread {
                (try channel.tryPut(1), try channel.tryPut(2), channel.tryTake(), channel.tryTake())
            }
            let (first, second, taken, none) = try other.value()
            #expect(first && !second && taken == 1 && none == nil)
            let taker = spawn { try channel.take() }
            try Greenlet.yield()
            let putter = TestThread { try channel.tryPut(3) }
            try #expect(taker.value() == 3)
            try #expect(putter.value())
        }
    }

    @Test func `a green thread that gave up leaves no trace`() throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: 0)
            #expect(throws: WaitError.deadlinePassed) { try channel.take(until: .after(.milliseconds(2))) }
            #expect(throws: WaitError.deadlinePassed) { try channel.put(1, until: .now) }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { try channel.put(2) } }
            let killed = spawn { try channel.put(3) }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(channel.tryTake() == nil)
            try #expect(!channel.tryPut(4))
        }
    }

    @Test func `in the same pass as a kill, no item is lost`() throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: 0)
            let taker = spawn { try channel.take() }
            try Greenlet.yield()
            try #expect(channel.tryPut(1))
            taker.kill()
            try #expect(taker.value() == 1)
            let putter = spawn { try channel.put(2) }
            try Greenlet.yield()
            #expect(channel.tryTake() == 2)
            putter.kill()
            try putter.value()
            let killed = spawn { try channel.take() }
            try Greenlet.yield()
            killed.kill()
            // The green thread was killed and has not run yet: its wait has not ended, so it gets an item that is put now.
            let wasPut = try channel.tryPut(3)
            try killed.join()
            #expect(wasPut == (killed.state == .finished))
        }
    }

    @Test func `a green thread that is killed at any moment takes along its item and no more`() throws {
        try onHub(.seconds(60)) {
            let channel = RemoteChannel<Int>(limit: 2)
            let count = Sanitizer.scaled(2000, address: 500, thread: 300)
            let giver = TestThread {
                defer { Hub.current.close() }
                for number in 0..<count { try channel.put(number) }
                channel.close()
            }
            var (random, taken) = (SeededRandom(seed: 3), [Int]())
            while taken.count < count {
                let taker = spawn { try channel.take(until: .after(.milliseconds(1))) }
                for _ in 0..<Int.random(in: 0..<3, using: &random) { try Greenlet.yield() }
                taker.kill()
                try taker.join()
                if case .success(let item) = taker.result { taken.append(item) }
            }
            try giver.value()
            #expect(taken == Array(0..<count))
        }
    }
}
