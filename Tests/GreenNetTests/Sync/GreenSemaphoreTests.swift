import TestSupport
import Testing

@testable import GreenNet

struct GreenSemaphoreTests {
    @Test func `a semaphore gives as many permits as it has, and no more`() throws {
        try onHub {
            let semaphore = GreenSemaphore(2)
            try semaphore.acquire()
            try semaphore.acquire()
            #expect(semaphore.available == 0)
            #expect(!semaphore.tryAcquire())
            try #expect(!semaphore.acquire(until: .now))
            try #expect(!semaphore.acquire(until: .after(.milliseconds(2))))
            semaphore.release()
            #expect(semaphore.tryAcquire())
        }
    }

    @Test func `permits go to waiting green threads, first come first served`() throws {
        try onHub {
            let semaphore = GreenSemaphore(0)
            var order: [Int] = []
            for number in 0..<100 {
                spawn {
                    try semaphore.acquire()
                    order.append(number)
                }
            }
            try Greenlet.yield()
            for _ in 0..<100 { semaphore.release() }
            #expect(semaphore.available == 0)
            try Hub.current.run()
            #expect(order == Array(0..<100))
        }
    }

    @Test func `a newcomer never takes the permit of a waiting green thread`() throws {
        try onHub {
            let semaphore = GreenSemaphore(0)
            let waiter = spawn { try semaphore.acquire() }
            try Greenlet.yield()
            semaphore.release()
            #expect(waiter.state == .ready)
            #expect(!semaphore.tryAcquire())
            try waiter.value()
        }
    }

    @Test func `two green threads that acquire again and again don't starve a third`() throws {
        try onHub {
            let semaphore = GreenSemaphore(1)
            var turns = [0, 0, 0]
            for number in 0..<3 {
                spawn {
                    for _ in 0..<50 {
                        try semaphore.withPermit {
                            turns[number] += 1
                            try Greenlet.yield()
                        }
                        #expect(turns.max()! - turns.min()! <= 1)
                    }
                }
            }
            try Hub.current.run()
            #expect(turns == [50, 50, 50])
        }
    }

    @Test func `a green thread that gave up takes no permit and leaves no trace`() throws {
        try onHub {
            let semaphore = GreenSemaphore(0)
            let late = spawn { try semaphore.acquire(until: .after(.milliseconds(1))) }
            let killed = spawn { try semaphore.acquire() }
            let limited = spawn { try withTimeout(.milliseconds(1)) { try semaphore.acquire() } }
            try Greenlet.yield()
            killed.kill()
            try #expect(!late.value())
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try limited.value() }
            semaphore.release()
            #expect(semaphore.available == 1)
        }
    }

    @Test func `a permit handed over in the same pass as a kill is not lost`() throws {
        try onHub {
            let semaphore = GreenSemaphore(0)
            let first = spawn { try semaphore.withPermit { try Greenlet.yield() } }
            let second = spawn { try semaphore.acquire() }
            try Greenlet.yield()
            // If the hand-over comes before the kill, the killed green thread has the permit, and gives it back as it unwinds.
            semaphore.release()
            first.kill()
            try second.value()
            #expect(first.state == .killed)
            // If the kill comes before the release, the permit goes to the next green thread.
            let third = spawn { try semaphore.acquire() }
            let fourth = spawn { try semaphore.acquire() }
            try Greenlet.yield()
            third.kill()
            semaphore.release()
            try fourth.value()
            #expect(throws: GreenletExit()) { try third.value() }
            #expect(semaphore.available == 0)
        }
    }

    @Test func `a body that throws gives its permit back`() throws {
        try onHub {
            let semaphore = GreenSemaphore(1)
            #expect(throws: Failure(1)) { try semaphore.withPermit { throw Failure(1) } }
            #expect(semaphore.available == 1)
        }
    }

    @Test func `there may be more permits than at the beginning, unless it is bounded`() async throws {
        try onHub {
            let semaphore = GreenSemaphore(1)
            semaphore.release()
            #expect(semaphore.available == 2)
            let bounded = GreenBoundedSemaphore(1)
            try bounded.acquire()
            bounded.release()
            #expect(bounded.available == 1)
        }
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            GreenBoundedSemaphore(3).release()
        }
        if let result {
            expectProgrammingError("a permit was given back that no green thread holds: all 3 are there", in: result)
        }
    }

    @Test func `each of two releases calls the observers of that time`() throws {
        try onHub {
            let semaphore = GreenSemaphore(0)
            var told: [Int] = []
            _ = semaphore.observe { told.append(1) }
            semaphore.release()
            _ = semaphore.observe { told.append(2) }
            semaphore.release()
            #expect(told == [1, 2])
        }
    }
}
