import TestSupport
import Testing

@testable import GreenNet

struct RemoteSemaphoreTests {
    @Test func `all hubs together get as many permits as there are, and no more`() throws {
        try onHub {
            let semaphore = RemoteSemaphore(2)
            try semaphore.acquire()
            #expect(semaphore.tryAcquire())
            #expect(semaphore.available == 0)
            let other = TestThread {
                defer { Hub.current.close() }
                #expect(!semaphore.tryAcquire())
                try #expect(!semaphore.acquire(until: .now))
                try #expect(!semaphore.acquire(until: .after(.milliseconds(2))))
            }
            try other.value()
            semaphore.release()
            try #expect(semaphore.acquire(until: .now))
        }
    }

    @Test func `a green thread of another hub gets a permit soon after its release`() throws {
        try onHub {
            let semaphore = RemoteSemaphore()
            let waits = RemoteResult<Void>()
            try semaphore.acquire()
            let other = TestThread {
                defer { Hub.current.close() }
                waits.set(())
                try #expect(semaphore.acquire(until: .after(.seconds(60))))
            }
            try waits.value()
            let length = try elapsed {
                semaphore.release()
                try other.value()
            }
            #expect(length < slack)
            #expect(semaphore.available == 0)
        }
    }

    @Test func `a green thread that was late or killed leaves no trace`() throws {
        try onHub {
            let semaphore = RemoteSemaphore(0)
            try #expect(!semaphore.acquire(until: .after(.milliseconds(2))))
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { try semaphore.acquire() } }
            let killed = spawn { try semaphore.acquire() }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            semaphore.release()
            #expect(semaphore.available == 1)
        }
    }

    @Test func `OS threads that contend for one permit all finish, and never two hold it`() throws {
        try onHub(.seconds(60)) {
            let semaphore = RemoteSemaphore()
            let count = Unguarded()
            let rounds = Sanitizer.active == .none ? 10_000 : 500
            let threads = (0..<2).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    for _ in 0..<rounds { try semaphore.withPermit { count.value += 1 } }
                }
            }
            for thread in threads { try thread.value() }
            #expect(count.value == 2 * rounds)
        }
    }
}

/// Guarded by the semaphore of the test that uses it.
private final class Unguarded: @unchecked Sendable {
    var value = 0
}
