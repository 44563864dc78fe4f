import TestSupport
import Testing

@testable import GreenNet

/// Properties in any order of green threads, with any of them killed or late in between: nothing is lost and nothing comes twice.
struct ScheduleTests {
    /// Draws the events of a run, from the seed that draws the order too.
    private struct Dice {
        var random: SeededRandom
        init(_ seed: UInt64) { random = SeededRandom(seed: seed) }
        mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
    }

    /// Kills some of `victims`, at random moments.
    private func spawnKiller(of victims: [AnyGreenlet], _ dice: inout Dice) {
        for victim in victims where dice.below(4) == 0 {
            spawn(after: .milliseconds(dice.below(8))) { victim.kill() }
        }
    }

    /// A deadline that may pass before the awaited event.
    private func someDeadline(_ dice: inout Dice) -> Deadline {
        dice.below(3) == 0 ? .after(.milliseconds(dice.below(6))) : .never
    }

    @Test func `permits of a semaphore are neither lost nor made`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let semaphore = GreenSemaphore(2)
            var holders = 0
            let workers = (0..<8).map { _ in
                let (deadline, length) = (someDeadline(&dice), dice.below(3))
                return spawn {
                    guard try semaphore.acquire(until: deadline) else { return }
                    defer { semaphore.release() }
                    holders += 1
                    defer { holders -= 1 }
                    #expect(holders <= 2)
                    try Greenlet.sleep(for: .milliseconds(length))
                }
            }
            spawnKiller(of: workers, &dice)
            try Hub.current.run()
            #expect(semaphore.available == 2, "seed \(seed)")
        }
    }

    @Test func `a lock has one owner, and in the end none`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let (first, second) = (GreenLock(), GreenLock())
            var owners = 0
            let workers = (0..<6).map { number in
                let (limit, length) = (dice.below(10), dice.below(2))
                return spawn {
                    _ = try? withTimeout(.milliseconds(limit)) {
                        let inOrder = number.isMultiple(of: 2)
                        try withLocks(inOrder ? first : second, inOrder ? second : first) {
                            owners += 1
                            defer { owners -= 1 }
                            #expect(owners == 1)
                            try first.withLock { try Greenlet.sleep(for: .milliseconds(length)) }
                        }
                    }
                }
            }
            spawnKiller(of: workers, &dice)
            try Hub.current.run()
            #expect(!first.isLocked && !second.isLocked, "seed \(seed)")
        }
    }

    @Test func `each item of a queue is taken once, by one green thread`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let queue = GreenQueue<Int>(limit: dice.below(2) == 0 ? nil : 1 + dice.below(3))
            var (put, taken): (Set<Int>, [Int]) = ([], [])
            let putters = (0..<4).map { (putter: Int) -> Greenlet<Void> in
                let deadline = someDeadline(&dice)
                return spawn {
                    for number in 0..<3 {
                        guard try self.unlessOver({ try queue.put(putter * 10 + number, until: deadline) }) != nil
                        else { continue }
                        put.insert(putter * 10 + number)
                    }
                }
            }
            let takers = (0..<4).map { _ in
                let deadline = someDeadline(&dice)
                return spawn {
                    while true {
                        guard let item = try self.unlessOver({ try queue.take(until: deadline) }) else { return }
                        taken.append(item)
                    }
                }
            }
            spawnKiller(of: putters + takers, &dice)
            try joinAll(putters)
            queue.shutDown()
            try joinAll(takers)
            taken += try rest(of: queue)
            #expect(taken.sorted() == put.sorted(), "seed \(seed)")
        }
    }

    /// Nil if a deadline has passed, or the queue or the channel is shut down.
    private func unlessOver<Value>(_ call: () throws -> Value) throws -> Value? {
        do { return try call() } catch  where error.isClosed || error.isTimeout { return nil }
    }

    @Test func `each item of a channel passes from one green thread to one other`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let channel = GreenChannel<Int>()
            var (put, taken): ([Int], [Int]) = ([], [])
            let putters = (0..<5).map { number in
                let deadline = someDeadline(&dice)
                return spawn {
                    guard try self.unlessOver({ try channel.put(number, until: deadline) }) != nil else { return }
                    put.append(number)
                }
            }
            let takers = (0..<5).map { _ in
                let deadline = someDeadline(&dice)
                return spawn {
                    if let item = try self.unlessOver({ try channel.take(until: deadline) }) { taken.append(item) }
                }
            }
            spawnKiller(of: putters + takers, &dice)
            try Greenlet.sleep(for: .seconds(1))
            channel.shutDown()
            for greenlet in putters + takers as [AnyGreenlet] { try greenlet.join() }
            #expect(taken.sorted() == put.sorted(), "seed \(seed)")
            for putter in putters { _ = putter.result }
        }
    }

    @Test func `no signal of a condition is lost`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let condition = GreenCondition()
            var (tokens, taken) = (0, 0)
            let takers = (0..<6).map { _ in
                let deadline = someDeadline(&dice)
                return spawn {
                    try condition.lock.withLock {
                        guard try condition.wait(until: deadline, for: { tokens > 0 }) else { return }
                        tokens -= 1
                        taken += 1
                    }
                }
            }
            spawnKiller(of: takers, &dice)
            let length = dice.below(5)
            let giver = spawn {
                for _ in 0..<6 {
                    try Greenlet.sleep(for: .milliseconds(length))
                    try condition.lock.withLock {
                        tokens += 1
                        condition.broadcast()
                    }
                }
            }
            try giver.join()
            try Hub.current.run()
            #expect(tokens + taken == 6, "seed \(seed)")
            #expect(!condition.lock.isLocked, "seed \(seed)")
        }
    }

    @Test func `a barrier opens for all or for none`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let barrier = GreenBarrier(3)
            var opened = 0
            let parties = (0..<7).map { _ in
                let deadline = Deadline.after(.milliseconds(5 + dice.below(5)))
                return spawn(after: .milliseconds(dice.below(5))) {
                    if try barrier.wait(until: deadline) { opened += 1 }
                }
            }
            spawnKiller(of: parties, &dice)
            try Hub.current.run()
            #expect(opened % 3 == 0, "seed \(seed): \(opened)")
            #expect(barrier.count == 0, "seed \(seed)")
        }
    }

    @Test func `a group leaves no member behind, whichever fails when`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            var running = 0
            var members: [AnyGreenlet] = []
            let caller = spawn {
                _ = try? withGreenGroup { group in
                    for number in 0..<6 {
                        let (length, fails) = (dice.below(6), dice.below(5) == 0)
                        members.append(
                            group.spawn {
                                running += 1
                                defer { running -= 1 }
                                try Greenlet.sleep(for: .milliseconds(length))
                                if fails { throw Failure(number) }
                            })
                        if dice.below(3) == 0 { try Greenlet.sleep(for: .milliseconds(1)) }
                    }
                }
                #expect(running == 0, "seed \(seed)")
                let allEnded = members.allSatisfy { $0.hasEnded }
                #expect(allEnded, "seed \(seed)")
            }
            if dice.below(3) == 0 {
                try Greenlet.sleep(for: .milliseconds(dice.below(6)))
                caller.kill()
            }
            try caller.join()
            for case let member as Greenlet<Void> in members { _ = member.result }
        }
    }

    @Test func `a pool never runs more members than its limit and gets all its places back`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let pool = GreenPool(limit: 2)
            var running = 0
            let lengths = (0..<8).map { _ in dice.below(4) }
            let mapper = spawn {
                try pool.map(lengths) { length in
                    running += 1
                    defer { running -= 1 }
                    #expect(running <= 2)
                    try Greenlet.sleep(for: .milliseconds(length))
                    return length
                }
            }
            if dice.below(2) == 0 { spawn(after: .milliseconds(dice.below(8))) { mapper.kill() } }
            if case .success(let mapped) = (try mapper.join(), mapper.result!).1 { #expect(mapped == lengths) }
            #expect(running == 0 && pool.free == 2, "seed \(seed)")
        }
    }

    @Test func `a wait for several objects gets each once`() throws {
        try onEverySeed { seed in
            var dice = Dice(seed)
            let events = (0..<6).map { _ in GreenEvent() }
            for event in events { spawn(after: .milliseconds(dice.below(4))) { event.set() } }
            let waiters = (0..<3).map { _ in spawn { try joinAll(events, until: .after(.seconds(1))).count } }
            spawnKiller(of: waiters, &dice)
            for waiter in waiters {
                try waiter.join()
                if case .success(let count) = waiter.result { #expect(count == 6, "seed \(seed)") }
            }
            try Hub.current.run()
            #expect(events.allSatisfy { $0.observerCount == 0 }, "seed \(seed)")
        }
    }
}
