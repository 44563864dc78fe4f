import GreenNet
import TestSupport
import Testing

struct GreenPoolTests {
    @Test(arguments: [1, 2, 3, 10])
    func `a pool never runs more green threads than its limit`(limit: Int) throws {
        try onHub {
            let pool = GreenPool(limit: limit)
            var (running, most, ended) = (0, 0, 0)
            for _ in 0..<20 {
                try pool.spawn {
                    running += 1
                    most = max(most, running)
                    try Greenlet.yield()
                    running -= 1
                    ended += 1
                }
                #expect(pool.count <= limit)
            }
            try #expect(pool.join())
            #expect(most == limit)
            #expect(ended == 20)
            #expect(pool.free == limit)
        }
    }

    @Test func `spawn waits while the pool is full, until a deadline, a limit or a kill`() throws {
        try onHub {
            let pool = GreenPool(limit: 1)
            let event = GreenEvent()
            try pool.spawn { try event.wait() }
            #expect(pool.free == 0)
            #expect(throws: WaitError.deadlinePassed) { try pool.spawn(until: .now) {} }
            #expect(throws: WaitError.deadlinePassed) { try pool.spawn(until: .after(.milliseconds(2))) {} }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { try pool.spawn {} } }
            let killed = spawn { try pool.spawn {} }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            try #expect(!pool.join(until: .after(.milliseconds(2))))
            event.set()
            try #expect(pool.join())
            #expect(pool.free == 1)
        }
    }

    @Test func `iterate gives the results of the calls in the order of the items, and goes on after an error`() throws {
        try onHub {
            let pool = GreenPool(limit: 3)
            let ends = pool.iterate([3, 0, 2, 1]) { number in
                for _ in 0..<number { try Greenlet.yield() }
                if number == 0 { throw Failure(0) }
                return 1.0 / Double(number)
            }
            try #expect(ends.next()?.get() == 1.0 / 3)
            let failed = try #require(try ends.next())
            #expect(throws: Failure(0)) { try failed.get() }
            try #expect(ends.next()?.get() == 1.0 / 2)
            try #expect(ends.next()?.get() == 1.0)
            try #expect(ends.next() == nil)
            #expect(pool.free == 3)
        }
    }

    @Test(arguments: [1, 2, 5])
    func `iterate begins no more calls than the limit ahead of its caller`(limit: Int) throws {
        try onHub {
            let pool = GreenPool(limit: limit)
            var (begun, taken) = (0, 0)
            let ends = pool.iterate(0..<20) { number in
                begun += 1
                return number
            }
            while let end = try ends.next() {
                try #expect(end.get() == taken)
                taken += 1
                for _ in 0..<10 { try Greenlet.yield() }
                #expect(begun <= taken + limit)
            }
            #expect(taken == 20 && begun == 20)
        }
    }

    @Test func `a generator of iterate that is left before its end kills the calls that run`() throws {
        try onHub {
            let pool = GreenPool(limit: 2)
            let never = GreenEvent()
            do {
                let ends = pool.iterate(0..<10) { number in
                    if number > 0 { try never.wait() }
                }
                _ = try ends.next()
                #expect(pool.count > 0)
            }
            try #expect(pool.join(until: .after(.seconds(10))))
            // The limit also ends a wait for one result.
            let ends = pool.iterate(0..<10) { _ in try never.wait() }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { _ = try ends.next() } }
            try #expect(pool.join(until: .after(.seconds(10))))
        }
    }

    @Test func `a pool with a limit of 0 is always full`() throws {
        try onHub {
            let pool = GreenPool(limit: 0)
            #expect(pool.free == 0)
            #expect(throws: WaitError.deadlinePassed) { try pool.spawn(until: .now) {} }
            try #expect(pool.join())
        }
    }

    @Test func `a place is free again however its member has ended`() throws {
        try onHub {
            let pool = GreenPool(limit: 3)
            let failing = try pool.spawn { throw Failure(1) }
            let killed = try pool.spawn { try Greenlet.sleep(until: .never) }
            let unstarted = try pool.spawn { Issue.record("it began") }
            unstarted.kill()
            try Greenlet.yield()
            try #expect(pool.kill())
            #expect(pool.free == 3)
            #expect(throws: Failure(1)) { try failing.value() }
            #expect(killed.state == .killed)
        }
    }

    @Test func `kill returns false if a member runs on after the deadline`() throws {
        try onHub {
            let pool = GreenPool(limit: 2)
            let event = GreenEvent()
            try pool.spawn { try shielded { try event.wait() } }
            try Greenlet.yield()
            try #expect(!pool.kill(until: .after(.milliseconds(2))))
            #expect(pool.count == 1)
            event.set()
            try #expect(pool.join())
        }
    }

    // MARK: Many at once

    @Test func `map keeps the order of the items, mapUnordered the order of the ends`() throws {
        try onHub {
            func sleeps(_ milliseconds: Int) throws -> Int {
                try Greenlet.sleep(for: .milliseconds(milliseconds))
                return milliseconds
            }
            let pool = GreenPool(limit: 3)
            try #expect(pool.map([30, 1, 15], sleeps) == [30, 1, 15])
            try #expect(pool.mapUnordered([30, 1, 15], sleeps) == [1, 15, 30])
            try #expect(GreenPool(limit: 1).mapUnordered([10, 1, 2], sleeps) == [10, 1, 2])
            try #expect(pool.map(0..<100) { $0 * $0 } == (0..<100).map { $0 * $0 })
            try #expect(pool.map([Int](), sleeps).isEmpty)
        }
    }

    @Test func `the first error ends the other calls`() throws {
        try onHub {
            let pool = GreenPool(limit: 2)
            var begun = 0
            #expect(throws: Failure(3)) {
                try pool.map(0..<100) { number in
                    begun += 1
                    try Greenlet.sleep(for: .milliseconds(1))
                    if number == 3 { throw Failure(3) }
                }
            }
            #expect(begun < 10)
            #expect(pool.free == 2)
        }
    }

    @Test func `a member may use its own pool`() throws {
        try onHub {
            let pool = GreenPool(limit: 1)
            let member = try pool.spawn { try pool.map([1, 2]) { $0 + 1 } }
            try #expect(member.value() == [2, 3])
        }
    }

    @Test func `a map that is killed or late leaves no call running`() throws {
        try onHub {
            let pool = GreenPool(limit: 2)
            let mapper = spawn { try pool.map(0..<10) { _ in try Greenlet.sleep(until: .never) } }
            try Greenlet.yield()
            try Greenlet.yield()
            #expect(pool.count == 2)
            mapper.kill()
            #expect(throws: GreenletExit()) { try mapper.value() }
            #expect(pool.free == 2)
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(2)) { try pool.forEach(0..<3) { _ in try Greenlet.sleep(until: .never) } }
            }
            #expect(pool.free == 2)
        }
    }
}
