import GreenNet
import TestSupport
import Testing

/// These compile because the calls have a type of error; what they do is tested elsewhere.
struct TypedThrowsTests {
    private func count(_ lock: GreenLock, _ semaphore: GreenSemaphore) throws(WaitError) -> Int {
        var number = 0
        try lock.withLock { number += 1 }
        try semaphore.withPermit { number += 1 }
        try RemoteSemaphore().withPermit { number += 1 }
        try withLocks(lock, GreenLock()) { number += 1 }
        let condition = GreenCondition(lock)
        try lock.withLock { () throws(WaitError) in try condition.wait { number == 4 } }
        let event = GreenEvent()
        event.set()
        try joinAll([event])
        try iterateReady([event]) { _ in number += 1 }
        return number
    }

    @Test func `calls that run a body which throws nothing throw WaitError only`() throws {
        try onHub {
            let (lock, semaphore) = (GreenLock(), GreenSemaphore(1))
            try #expect(count(lock, semaphore) == 5)
            #expect(!lock.isLocked && semaphore.available == 1)
        }
    }

    @Test func `calls that run a body which throws its own errors pass them on`() throws {
        try onHub {
            let (lock, semaphore) = (GreenLock(), GreenSemaphore(1))
            #expect(throws: Failure(1)) { try lock.withLock { throw Failure(1) } }
            #expect(throws: Failure(2)) { try semaphore.withPermit { throw Failure(2) } }
            #expect(throws: Failure(3)) { try RemoteSemaphore().withPermit { throw Failure(3) } }
            #expect(throws: Failure(4)) { try withLocks(lock, GreenLock()) { throw Failure(4) } }
            let condition = GreenCondition(lock)
            #expect(throws: Failure(5)) { try lock.withLock { try condition.wait { throw Failure(5) } } }
            let event = GreenEvent()
            event.set()
            #expect(throws: Failure(6)) { try iterateReady([event]) { _ in throw Failure(6) } }
            #expect(!lock.isLocked && semaphore.available == 1)
        }
    }
}
