import Glibc
import GreenNet
import Synchronization
import TestSupport
import Testing

@testable import EchoServer

@Suite(.serialized) struct ThreadPoolTests {
    /// The numbers of OS threads that a pool has told.
    private final class Sizes: Sendable {
        private let all = RemoteChannel<Int>()
        private let hub: RemoteHub

        init() { hub = Hub.current.remote }

        func tell(_ size: Int, _ change: Int) {
            #expect(abs(change) == 1)
            hub.spawn { try self.all.put(size) }
        }
        func next() throws -> Int? { try all.take(until: .after(.seconds(10))) }
    }

    /// For OS threads without a hub.
    private final class BlockingSemaphore: @unchecked Sendable {
        // Unchecked: the calls are thread-safe.
        private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

        init() { sem_init(semaphore, 0, 0) }
        deinit {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }

        func wait() { while sem_wait(semaphore) != 0 {} }
        func post() { sem_post(semaphore) }
    }

    @Test func `further OS threads are made while all are busy, and end when they were idle`() throws {
        try onHub {
            let sizes = Sizes()
            let pool = try ThreadPool(
                .sized(PoolSize(least: 0, most: 3)), idleTime: .milliseconds(50),
                onChange: { size, change in sizes.tell(size, change) })
            let (begun, ended, end) = (RemoteSemaphore(0), RemoteSemaphore(0), BlockingSemaphore())
            for _ in 0..<4 {
                try pool.run {
                    begun.release()
                    end.wait()
                    ended.release()
                }
            }
            for _ in 0..<3 { try begun.acquire() }
            // The fourth waits for one of the three.
            try #expect(begun.acquire(until: .after(.milliseconds(50))) == false)
            end.post()
            try begun.acquire()
            for _ in 0..<3 { end.post() }
            for _ in 0..<4 { try ended.acquire() }
            try #expect((0..<3).map { _ in try sizes.next() } == [1, 2, 3])
            // Each OS thread tells of its own end: two that end at once may do it in either order.
            try #expect(Set((0..<3).map { _ in try sizes.next() }) == [2, 1, 0])
            // None is left, and the next job gets another one.
            try pool.run { ended.release() }
            try ended.acquire()
            try #expect((0..<2).map { _ in try sizes.next() } == [1, 0])
        }
    }

    @Test func `where an OS thread cannot be made and none waits, the clients that it was for are told`() throws {
        let clients = NoClients()
        let pool = try ThreadPool(
            .unlimited(keeping: 2), clients: clients, start: { (_, _) throws(SystemError) in throw SystemError(EAGAIN) }
        )
        #expect(!pool.keepOneWaiting() && clients.told == 1)
        #expect(throws: SystemError(EAGAIN)) { try pool.run {} }
        #expect(clients.told == 2)
    }

    private final class NoClients: PoolClients {
        private let count = Atomic(0)
        var told: Int { count.load(ordering: .relaxed) }

        func serveClients(at number: UInt64, by thread: PoolThread, of pool: ThreadPool) {}
        func watchAll() {}
        func noThreadWaits() { count.add(1, ordering: .relaxed) }
    }

    @Test func `a pool without a size runs each job at once, and keeps a few idle OS threads for a while`() throws {
        try onHub {
            let sizes = Sizes()
            let pool = try ThreadPool(
                .unlimited(keeping: 2), idleTime: .milliseconds(200),
                onChange: { size, change in sizes.tell(size, change) })
            let (begun, end) = (RemoteSemaphore(0), BlockingSemaphore())
            for _ in 0..<5 {
                try pool.run {
                    begun.release()
                    end.wait()
                }
            }
            for _ in 0..<5 { try begun.acquire() }
            try #expect((0..<5).map { _ in try sizes.next() } == [1, 2, 3, 4, 5])
            let beginning = Deadline.now
            for _ in 0..<5 { end.post() }
            try #expect(Set((0..<3).map { _ in try sizes.next() }) == [4, 3, 2])
            #expect(Deadline.now - beginning < .milliseconds(200))
            try #expect(Set((0..<2).map { _ in try sizes.next() }) == [1, 0])
        }
    }

    /// An OS thread has been woken for a client of its own, or is still being made: the pool counts on it for a job, and in vain.
    @Test func `a job that counts on an OS thread which can't be made is refused`() throws {
        try onHub {
            let (isMaking, mayFail, end) = (RemoteSemaphore(0), BlockingSemaphore(), BlockingSemaphore())
            let made = Guarded(0)
            let pool = try ThreadPool(
                .unlimited(keeping: 2),
                start: { (name, body) throws(SystemError) in
                    let number = made.withLock { number in
                        number += 1
                        return number
                    }
                    if number == 1 {
                        _ = try OSThread.start(body)
                        return
                    }
                    isMaking.release()
                    mayFail.wait()
                    throw SystemError(EAGAIN)
                })
            let (begun, refused) = (RemoteSemaphore(0), RemoteSemaphore(0))
            try pool.run {
                begun.release()
                end.wait()
            }
            try begun.acquire()
            let other = TestThread { pool.keepOneWaiting() }
            try isMaking.acquire()
            try pool.run {
                begun.release()
            } refuse: { error in
                #expect(error == SystemError(EAGAIN))
                refused.release()
            }
            mayFail.post()
            try #expect(refused.acquire(until: .after(.seconds(10))))
            try #expect(other.value() == false)
            end.post()
            pool.end()
            // It was not run as well.
            try #expect(begun.acquire(until: .after(.milliseconds(20))) == false)
        }
    }

    @Test func `a job whose own OS thread can't be made is refused at once`() throws {
        try onHub {
            let pool = try ThreadPool(
                .unlimited(keeping: 2), start: { (_, _) throws(SystemError) in throw SystemError(EAGAIN) })
            let error = #expect(throws: SystemError.self) { try pool.run({}, refuse: { _ in Issue.record("twice") }) }
            #expect(error == SystemError(EAGAIN))
            #expect(!pool.hasJobs && !pool.keepOneWaiting())
        }
    }

    @Test func `a pool that has ended has no OS thread left, and tells no sizes`() throws {
        let told = Guarded(0)
        weak var ended: ThreadPool?
        do {
            let pool = try ThreadPool(.sized(PoolSize(3)), onChange: { _, _ in told.withLock { $0 += 1 } })
            ended = pool
            pool.end()
        }
        // Its OS threads hold it.
        let isGone = eventually { ended == nil }
        #expect(isGone)
        #expect(told.withLock { $0 } == 0)
    }
}
