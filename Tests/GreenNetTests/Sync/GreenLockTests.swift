import TestSupport
import Testing

@testable import GreenNet

struct GreenLockTests {
    @Test func `one green thread holds the lock, however often it acquires it, and the others wait in line`() throws {
        try onHub {
            let lock = GreenLock()
            var order: [Int] = []
            for number in 0..<10 {
                spawn {
                    try lock.withLock {
                        try lock.withLock { try Greenlet.yield() }
                        #expect(lock.isHeld)
                        try Greenlet.yield()
                        order.append(number)
                    }
                    #expect(!lock.isHeld)
                }
            }
            try Greenlet.yield()
            #expect(lock.isLocked && !lock.isHeld && !lock.tryAcquire())
            try Hub.current.run()
            #expect(order == Array(0..<10))
            #expect(!lock.isLocked)
        }
    }

    @Test func `acquire returns false at its deadline`() throws {
        try onHub {
            let lock = GreenLock()
            try lock.acquire()
            try spawn {
                try #expect(!lock.acquire(until: .now))
                try #expect(!lock.acquire(until: .after(.milliseconds(2))))
            }.value()
            lock.release()
            try #expect(spawn { try lock.acquire(until: .now) }.value())
        }
    }

    @Test func `a kill or a time limit ends the wait, and the next in line gets the lock`() throws {
        try onHub {
            let lock = GreenLock()
            try lock.acquire()
            let killed = spawn { try lock.acquire() }
            let limited = spawn { try withTimeout(.milliseconds(1)) { try lock.acquire() } }
            let next = spawn { try lock.withLock {} }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try limited.value() }
            lock.release()
            try next.value()
            #expect(!lock.isLocked)
        }
    }

    @Test func `a lock handed over in the same pass as a kill is given back`() throws {
        try onHub {
            let lock = GreenLock()
            try lock.acquire()
            let first = spawn { try lock.withLock { try Greenlet.yield() } }
            let second = spawn { try lock.withLock {} }
            try Greenlet.yield()
            lock.release()
            #expect(lock.isLocked && !lock.tryAcquire())
            first.kill()
            try second.value()
            #expect(first.state == .killed)
            #expect(!lock.isLocked)
        }
    }

    @Test func `only the green thread that holds a lock can release it`() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let lock = GreenLock()
                try lock.acquire()
                try spawn { lock.release() }.value()
            }.value()
        }
        if let result {
            expectProgrammingError("a lock is released by a green thread that does not hold it", in: result)
        }
    }

    // MARK: Rings

    @Test func `a cycle of waits is thrown, by name, in the green thread that would close it`() throws {
        try onHub {
            let (a, b, c) = (GreenLock(), GreenLock(), GreenLock())
            func holds(_ name: String, _ first: GreenLock, wants second: GreenLock) -> Greenlet<Void> {
                spawn(name: name) {
                    try first.withLock {
                        try Greenlet.yield()
                        try second.withLock {}
                    }
                }
            }
            let one = holds("one", a, wants: b)
            let two = holds("two", b, wants: c)
            let three = holds("three", c, wants: a)
            let error = #expect(throws: WaitError.self) { try three.value() }
            let ring = ["green thread 4 (three)", "green thread 2 (one)", "green thread 3 (two)"]
            #expect(error == .deadlock(LockCycle(greenThreads: ring)))
            #expect(
                LockCycle(greenThreads: ring).description
                    == "deadlock: green thread 4 (three) waits for a lock of green thread 2 (one), "
                    + "which waits for a lock of green thread 3 (two), which waits for a lock of the first")
            // The error released the third lock, and the others could go on.
            try one.value()
            try two.value()
        }
    }

    @Test func `a cycle with a deadline is no deadlock`() throws {
        try onHub {
            let (a, b) = (GreenLock(), GreenLock())
            let patient = spawn {
                try a.withLock {
                    try Greenlet.yield()
                    try b.withLock {}
                }
            }
            let hasty = spawn {
                try b.withLock {
                    try Greenlet.yield()
                    return try a.acquire(until: .after(.milliseconds(2)))
                }
            }
            try #expect(!hasty.value())
            try patient.value()
        }
    }

    @Test func `a green thread that ends with a lock keeps it, and the dump says so`() throws {
        try onHub {
            let lock = GreenLock()
            try spawn { try lock.acquire() }.value()
            let waiter = spawn { try lock.acquire() }
            try Greenlet.yield()
            #expect(Hub.current.description.contains("a lock that green thread 2, which has ended, holds"))
            waiter.kill()
        }
    }

    // MARK: Several

    @Test func `withLocks acquires several locks in one order, however they are listed`() throws {
        try onHub {
            let (a, b, c) = (GreenLock(), GreenLock(), GreenLock())
            var inside = 0
            func uses(_ body: @escaping () throws -> Void) {
                spawn { for _ in 0..<20 { try body() } }
            }
            func work() throws {
                inside += 1
                #expect(inside == 1)
                try Greenlet.yield()
                inside -= 1
            }
            uses { try withLocks(a, b, c) { try work() } }
            uses { try withLocks(c, b, a) { try work() } }
            uses { try withLocks(b, c) { try work() } }
            uses { try withLocks(c, a, c) { try work() } }
            try Hub.current.run()
            #expect(!a.isLocked && !b.isLocked && !c.isLocked)
        }
    }

    @Test func `withLocks that fails holds no lock`() throws {
        try onHub {
            let (a, b) = (GreenLock(), GreenLock())
            try b.acquire()
            let killed = spawn { try withLocks(a, b) {} }
            try Greenlet.yield()
            killed.kill()
            try killed.join()
            #expect(!a.isLocked)
            #expect(throws: Failure(1)) { try withLocks(a, b) { throw Failure(1) } }
            #expect(!a.isLocked)
            b.release()
        }
    }
}
