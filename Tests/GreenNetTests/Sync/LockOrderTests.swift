import TestSupport
import Testing

@testable import GreenNet

struct LockOrderTests {
    /// What a `LockOrder` reports while `body` runs on a hub.
    private func reports(of body: @escaping @Sendable () throws -> Void) throws -> [String] {
        try onHub {
            var reports: [String] = []
            Hub.current.lockOrder = LockOrder { reports.append("\($0)") }
            try body()
            Hub.current.lockOrder = nil
            return reports
        }
    }

    @Test func `two orders of two locks are told, though no green thread had to wait`() throws {
        let reports = try reports {
            let (a, b) = (GreenLock(name: "A"), GreenLock(name: "B"))
            for _ in 0..<3 {
                try spawn(name: "one") { try a.withLock { try b.withLock {} } }.value()
                try spawn(name: "two") { try b.withLock { try a.withLock {} } }.value()
            }
        }
        #expect(reports.count == 1)
        #expect(reports.first?.hasPrefix("lock order: green thread ") == true)
        let text = "(two) acquires A with B held; before, B was acquired with A held, first by "
        #expect(reports.first?.contains(text) == true)
        #expect(reports.first?.hasSuffix("(one)") == true)
    }

    @Test func `a cycle of three orders is told with all locks of it`() throws {
        let reports = try reports {
            let (a, b, c) = (GreenLock(name: "A"), GreenLock(name: "B"), GreenLock())
            for (outer, inner) in [(a, b), (b, c), (c, a)] { try outer.withLock { try inner.withLock {} } }
        }
        #expect(reports.count == 1)
        let now = "acquires A with lock 3 held; before, "
        let chain = now + "B was acquired with A held, lock 3 was acquired with B held, first by"
        #expect(reports.first?.contains(chain) == true, "\(reports)")
    }

    @Test func `one order, a lock acquired again, and attempts that give up are no mistake`() throws {
        let reports = try reports {
            let (a, b, c) = (GreenLock(), GreenLock(), GreenLock())
            for _ in 0..<2 {
                try a.withLock { try b.withLock { try c.withLock { try a.withLock {} } } }
                try a.withLock { try c.withLock {} }
            }
            try c.withLock {
                #expect(b.tryAcquire())
                b.release()
                try #expect(a.acquire(until: .after(.seconds(1))))
                a.release()
            }
            let (x, y) = (GreenLock(), GreenLock())
            try withLocks(x, y) {}
            try withLocks(y, x) {}
        }
        #expect(reports == [])
    }

    @Test func `a lock that was handed over, or given up by a condition, counts for its holder`() throws {
        let reports = try reports {
            let (a, b) = (GreenLock(name: "A"), GreenLock(name: "B"))
            let condition = GreenCondition(a)
            var isSet = false
            try withGreenGroup { group in
                group.spawn(name: "waits") {
                    try a.withLock {
                        try condition.wait { isSet }
                        try b.withLock {}
                    }
                }
                try Greenlet.yield()
                try a.withLock {
                    // It waits for the lock now, which it gets with the end of this body.
                    isSet = true
                    condition.signal()
                    try Greenlet.yield()
                }
            }
            // No longer held by any.
            try b.withLock {}
            try b.withLock { try a.withLock {} }
        }
        #expect(reports.count == 1 && reports.first?.contains("acquires A with B held") == true, "\(reports)")
    }

    @Test func `locks that were held before it was watched are released all the same`() throws {
        try onHub {
            let (a, b) = (GreenLock(), GreenLock())
            try a.acquire()
            var reports = 0
            Hub.current.lockOrder = LockOrder { _ in reports += 1 }
            a.release()
            try a.withLock { try b.withLock {} }
            // Another one has numbers of its own.
            Hub.current.lockOrder = LockOrder { _ in reports += 1 }
            try b.withLock { try a.withLock {} }
            #expect(reports == 0)
            Hub.current.lockOrder = nil
        }
    }
}
