import TestSupport
import Testing

@testable import GreenNet

/// Random operations at once, and the properties that must hold after any of them.
struct StressTests {
    @Test(arguments: 1...3)
    func `random sleeps, limits, kills and joins keep their contracts`(seed: UInt64) throws {
        try onHub(.seconds(60)) {
            let count = Sanitizer.scaled(200, address: 50, thread: 50)
            var random = SeededRandom(seed: seed)
            for _ in 0..<count {
                let seed = random.next()
                spawn {
                    var actor = RandomActor(seed: seed)
                    for _ in 0..<20 { try actor.act() }
                }
            }
            try Hub.current.run()
            let hub = Hub.current.scheduler
            #expect(hub.fields.pointee.alive == 0)
            #expect(hub.fields.pointee.outsideWaits == 0)
            #expect(hub.fields.pointee.ready.isEmpty)
            #expect(hub.living.isEmpty)
        }
    }
}

private struct RandomActor {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func act() throws {
        switch random.next() % 8 {
        case 0: try Greenlet.yield()
        case 1: try sleep()
        case 2: try limitedSleep()
        case 3: try nestedLimits()
        case 4: try joinUntil()
        case 5: try killLater()
        case 6: try shieldedSleep()
        default: try manyWaitersForOne()
        }
    }

    private mutating func length() -> Duration { .microseconds(Int64(random.next() % 2000)) }

    private mutating func sleep() throws {
        let length = length()
        let took = try elapsed { try Greenlet.sleep(for: length) }
        #expect(took >= length)
    }

    private mutating func limitedSleep() throws {
        let (limit, length) = (length(), length())
        let start = Deadline.now
        do {
            try withTimeout(limit) { try Greenlet.sleep(for: length) }
            #expect(.now - start >= length)
            #expect(limit >= length)
        } catch let error as TimedOut {
            #expect(error.limit.duration == limit)
            #expect(.now - start >= limit)
        }
    }

    private mutating func nestedLimits() throws {
        let (outer, inner) = (length(), length())
        let start = Deadline.now
        var ends: [Duration] = []
        let error = #expect(throws: TimedOut.self) {
            try withTimeout(outer) {
                do {
                    try withTimeout(inner) { try Greenlet.sleep(for: .seconds(60)) }
                } catch let error as TimedOut {
                    ends.append(.now - start)
                    #expect(error.limit.duration == inner)
                    try Greenlet.sleep(for: .seconds(60))
                }
            }
        }
        #expect(error?.limit.duration == outer)
        #expect(.now - start >= outer)
        for end in ends { #expect(end >= inner) }
    }

    private mutating func joinUntil() throws {
        let (length, limit) = (length(), length())
        let target = spawn { try Greenlet.sleep(for: length) }
        let start = Deadline.now
        if try target.join(until: start + limit) {
            #expect(.now - start >= length)
        } else {
            #expect(.now - start >= limit)
            #expect(!target.hasEnded)
            try target.join()
        }
        #expect(target.state == .finished)
    }

    private mutating func killLater() throws {
        let (length, time) = (length(), length())
        var unwound = false
        let target = spawn {
            defer { unwound = true }
            try Greenlet.sleep(for: length)
            try Greenlet.yield()
        }
        try Greenlet.sleep(for: time)
        let hasEnded = target.hasEnded
        let hasBegun = target.state != .starting
        target.kill()
        try target.join()
        #expect(unwound == hasBegun)
        #expect(target.state == (hasEnded ? .finished : .killed))
    }

    private mutating func shieldedSleep() throws {
        let (limit, length) = (length(), length())
        let took = elapsed {
            _ = try? withTimeout(limit) {
                try shielded { try Greenlet.sleep(for: length) }
                try Greenlet.sleep(for: .seconds(60))
            }
        }
        #expect(took >= max(limit, length))
    }

    private mutating func manyWaitersForOne() throws {
        let length = length()
        let target = spawn { try Greenlet.sleep(for: length) }
        let waiters = (0..<5).map { _ in
            let limit = self.length()
            return spawn {
                let hasJoined = try target.join(until: .after(limit))
                #expect(hasJoined == target.hasEnded)
            }
        }
        waiters[Int(random.next() % 5)].kill()
        for waiter in waiters { try waiter.join() }
        try target.join()
        #expect(target.state == .finished)
    }
}
