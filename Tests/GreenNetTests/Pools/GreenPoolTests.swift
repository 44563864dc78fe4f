import GreenNet
import TestSupport
import Testing

struct GreenPoolTests {
    @Test(arguments: [1, 2, 3, 10])
    func `never more than its limit run at a time`(limit: Int) throws {
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

    @Test func `a full pool makes whoever spawns wait, until a deadline, a limit or a kill`() throws {
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

    @Test func `a pool of none is always full`() throws {
        try onHub {
            let pool = GreenPool(limit: 0)
            #expect(pool.free == 0)
            #expect(throws: WaitError.deadlinePassed) { try pool.spawn(until: .now) {} }
            try #expect(pool.join())
        }
    }

    @Test func `a place is free again however its green thread has ended`() throws {
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

    @Test func `kill returns false where one lingers`() throws {
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

    @Test func `map keeps the order of the items, mapUnordered that of the ends`() throws {
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

    @Test func `the first error ends the rest`() throws {
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

    @Test func `killed or late, whoever maps leaves nothing running`() throws {
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
