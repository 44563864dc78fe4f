import TestSupport
import Testing

@testable import GreenNet

struct RemoteLockTests {
    @Test func `one green thread of all hubs, or one task, holds it at a time`() throws {
        try onHub {
            let (lock, count) = (RemoteLock(), Unguarded())
            let rounds = Sanitizer.scaled(2000, address: 1000, thread: 200)
            let threads = (0..<3).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    try withGreenGroup { group in
                        for _ in 0..<2 {
                            group.spawn {
                                for round in 0..<rounds {
                                    try lock.withLock {
                                        count.value += 1
                                        if round % 100 == 0 { try Greenlet.yield() }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    for _ in 0..<rounds {
                        try await lock.withLock {
                            count.value += 1
                            await Task.yield()
                        }
                    }
                }
                for thread in threads { try thread.value() }
                try task.value()
            }
            #expect(count.value == 7 * rounds && !lock.isLocked)
        }
    }

    @Test func `first come, first served, across hubs`() throws {
        try onHub {
            let lock = RemoteLock()
            let order = Unguarded()
            var numbers: [Int] = []
            try lock.acquire()
            for number in 0..<4 {
                spawn { try lock.withLock { numbers.append(number) } }
                try Greenlet.yield()
            }
            let other = TestThread {
                defer { Hub.current.close() }
                try lock.withLock { order.value = 1 }
            }
            try waitUntil { lock.waiterCount == 5 }
            let last = spawn { try lock.withLock { #expect(order.value == 1) } }
            try Greenlet.yield()
            lock.release()
            // Not the OS thread first: that would block this hub, which has the lock next.
            try last.value()
            try other.value()
            #expect(numbers == [0, 1, 2, 3])
        }
    }

    @Test func `an owner that acquires it again is told so, in words`() throws {
        try onHub {
            let lock = RemoteLock()
            let owner = spawn(name: "writer") {
                try lock.withLock { try lock.withLock { Issue.record("it was acquired twice") } }
            }
            do {
                _ = try owner.value()
                Issue.record("no error")
            } catch let WaitError.deadlock(cycle) {
                #expect(cycle.description.hasSuffix("(writer) waits for a lock that it holds itself"))
            }
            #expect(!lock.isLocked)
            try lock.withLock {
                #expect(lock.isHeld && !lock.tryAcquire())
                #expect(throws: WaitError.self) { try lock.acquire(until: .now) }
            }
            try TaskThreads.with { tasks in
                let task = tasks.start { try await lock.withLock { try await lock.withLock {} } }
                do {
                    try task.value()
                    Issue.record("no error")
                } catch let WaitError.deadlock(cycle) {
                    #expect(cycle.greenThreads == ["a task"])
                }
            }
            #expect(!lock.isLocked)
        }
    }

    @Test func `a release by a green thread that does not hold it stops the program`() async {
        await #expect(processExitsWith: .failure) { RemoteLock().release() }
        await #expect(processExitsWith: .failure) {
            try onHub {
                let lock = RemoteLock()
                try lock.acquire()
                try spawn { lock.release() }.value()
            }
        }
    }

    @Test func `a deadline, a limit, a kill and a cancellation end the wait, and the lock goes to the next`() throws {
        try onHub {
            let lock = RemoteLock()
            try lock.acquire()
            let late = spawn { try lock.acquire(until: .after(.milliseconds(2))) }
            let limited = spawn { try withTimeout(.milliseconds(2)) { try lock.acquire() } }
            let killed = spawn { try lock.withLock { Issue.record("a killed green thread has the lock") } }
            try Greenlet.yield()
            killed.kill()
            try TaskThreads.with { tasks in
                let began = RemoteEvent()
                let task = tasks.start {
                    began.set()
                    try await lock.withLock {}
                }
                try began.wait()
                task.cancel()
                #expect(throws: CancellationError.self) { try task.value() }
            }
            try #expect(!late.value())
            #expect(throws: TimedOut.self) { try limited.value() }
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(lock.waiterCount == 0)
            lock.release()
            try lock.withLock {}
        }
    }

    @Test func `it is released however the body ends`() throws {
        try onHub {
            let lock = RemoteLock()
            try #expect(lock.withLock { 7 } == 7)
            #expect(throws: Failed.self) { try lock.withLock { throw Failed() } }
            let killed = spawn { try lock.withLock { try Greenlet.sleep(for: .seconds(100)) } }
            try Greenlet.yield()
            #expect(lock.isLocked && !lock.isHeld)
            killed.kill()
            try killed.join()
            #expect(!lock.isLocked)
        }
    }

    @Test func `kills at random points lose no hand-over`() throws {
        try onHub {
            let lock = RemoteLock()
            let other = TestThread {
                defer { Hub.current.close() }
                for _ in 0..<Sanitizer.scaled(500, address: 200, thread: 50) {
                    try lock.withLock { try Greenlet.yield() }
                }
            }
            var random = SplitMix(seed: 3)
            for _ in 0..<Sanitizer.scaled(300, address: 100, thread: 30) {
                let users = (0..<4).map { _ in spawn { try lock.withLock { try Greenlet.yield() } } }
                for _ in 0..<Int.random(in: 0...3, using: &random) { try Greenlet.yield() }
                for user in users where Bool.random(using: &random) { user.kill() }
                try joinAll(users)
            }
            try other.value()
            try #expect(lock.acquire(until: .after(.seconds(30))))
            lock.release()
        }
    }
}

private struct Failed: Error {}

/// Guarded by the lock of the test that uses it.
private final class Unguarded: @unchecked Sendable {
    var value = 0
}
