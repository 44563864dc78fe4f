import Dispatch
import Foundation
import GreenNet
import Synchronization
import TestSupport
import Testing

/// The statements of the article of that name, about each thing that must not be held over a wait.
struct HeldOverAWaitTests {
    // MARK: Hangs, which are reported

    @Test(.enabled(if: Sanitizer.active != .thread, "its runtime's frames are between the others"))
    func `a static whose initialiser waits hangs the hub, and the watch says so`() async throws {
        let result = try await #require(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
            try reportAndExit {
                spawn(name: "first") { _ = Slow.value }
                spawn(name: "second") { _ = Slow.value }
            }
        }
        let report = result.standardError
        #expect(report.contains("green thread 3 (second) has not given way"))
        #expect(report.contains("it waits for the initialiser of a global or a static to end"))
        #expect(report.contains("green thread 2 (first) is inside an initialiser\n"))
        #expect(report.contains("waitInInitializer"))
    }

    @Test func `a global whose initialiser waits is fine where no other green thread needs it meanwhile`() throws {
        try onHub {
            let first = spawn { slowGlobal }
            try #expect(first.value() == 7)
            #expect(slowGlobal == 7)
        }
    }

    @Test func `a pthread_mutex_t hangs the hub, and the watch says so`() async throws {
        let result = try await #require(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
            try reportAndExit {
                let mutex = POSIXMutex()
                spawn(name: "first") { try mutex.withLock { try Greenlet.sleep(for: .milliseconds(50)) } }
                spawn(name: "second") { mutex.withLock {} }
            }
        }
        expectLockReport(result.standardError)
    }

    @Test func `an NSLock hangs the hub, and the watch says so`() async throws {
        let result = try await #require(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
            try reportAndExit {
                let lock = NSLock()
                spawn(name: "first") { try lock.withLock { try Greenlet.sleep(for: .milliseconds(50)) } }
                spawn(name: "second") { lock.withLock {} }
            }
        }
        expectLockReport(result.standardError)
    }

    @Test func `a DispatchSemaphore hangs the hub, and the watch shows where`() async throws {
        let result = try await #require(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
            try reportAndExit {
                let semaphore = DispatchSemaphore(value: 1)
                spawn(name: "first") {
                    semaphore.wait()
                    try Greenlet.sleep(for: .milliseconds(50))
                    semaphore.signal()
                }
                spawn(name: "second") {
                    semaphore.wait()
                    semaphore.signal()
                }
            }
        }
        #expect(result.standardError.contains("green thread 3 (second) has not given way"))
        #expect(!result.standardError.contains("it waits for"))
    }

    @Test func `a sem_t hangs the hub, and the watch shows where`() async throws {
        let result = try await #require(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
            try reportAndExit {
                let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
                sem_init(semaphore, 0, 1)
                spawn(name: "first") {
                    sem_wait(semaphore)
                    try Greenlet.sleep(for: .milliseconds(50))
                    sem_post(semaphore)
                }
                spawn(name: "second") { sem_wait(semaphore) }
            }
        }
        #expect(result.standardError.contains("green thread 3 (second) has not given way"))
        #expect(result.standardError.contains("HeldOverAWaitTests"))
    }

    @Test func `a pthread_rwlock_t that is read hangs the hub where another one writes`() async throws {
        let result = try await #require(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
            try reportAndExit {
                let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
                pthread_rwlock_init(lock, nil)
                spawn(name: "first") {
                    pthread_rwlock_rdlock(lock)
                    try Greenlet.sleep(for: .milliseconds(50))
                    pthread_rwlock_unlock(lock)
                }
                spawn(name: "second") { pthread_rwlock_wrlock(lock) }
            }
        }
        #expect(result.standardError.contains("green thread 3 (second) has not given way"))
        #expect(result.standardError.contains("pthread_rwlock_wrlock"))
    }

    @Test func `a pthread_rwlock_t that is written is refused to the others`() throws {
        try onHub {
            let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
            pthread_rwlock_init(lock, nil)
            defer {
                pthread_rwlock_destroy(lock)
                lock.deallocate()
            }
            #expect(pthread_rwlock_wrlock(lock) == 0)
            try #expect(spawn { pthread_rwlock_rdlock(lock) }.value() == EDEADLK)
            try #expect(spawn { pthread_rwlock_wrlock(lock) }.value() == EDEADLK)
            pthread_rwlock_unlock(lock)
        }
    }

    @Test func `a lock that another OS thread holds for a while is not reported`() throws {
        try onHub {
            let (mutex, reports) = (POSIXMutex(), Reports())
            try Hub.current.watch(longerThan: .milliseconds(10)) { reports.append($0) }
            let isLocked = Handoff<Void>()
            let other = TestThread {
                mutex.withLock {
                    isLocked.give()
                    _ = eventually { !reports.all.isEmpty }
                }
            }
            try #require(isLocked.take() != nil)
            try spawn(name: "second") { mutex.withLock {} }.value()
            try other.value()
            Hub.current.stopWatching()
            #expect(reports.all.allSatisfy { $0.obstacle == nil })
        }
    }

    // MARK: Things that stop the program

    @Test func `a Mutex stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try reportAndExit {
                let mutex = SharedMutex()
                spawn { try mutex.state.withLock { _ in try Greenlet.sleep(for: .milliseconds(50)) } }
                spawn { mutex.state.withLock { _ in } }
            }
        }
        #expect(!result.standardError.contains("has not given way"))
    }

    @Test func `DispatchQueue.sync stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try reportAndExit {
                let queue = DispatchQueue(label: "queue")
                spawn { try queue.sync { try Greenlet.sleep(for: .milliseconds(50)) } }
                spawn { queue.sync {} }
            }
        }
        #expect(!result.standardError.contains("has not given way"))
    }

    @Test func `a mutating method of a static stops the program where another one reads it`() async throws {
        let passed = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try reportAndExit {
                spawn { try Counter.shared.addAfterAWait() }
                spawn { Counter.shared.number }
            }
        }
        #expect(passed.standardError.contains("Simultaneous accesses"))
    }

    // MARK: Things that let others in

    @Test func `an NSRecursiveLock lets the others in`() throws {
        try onHub {
            let lock = NSRecursiveLock()
            var inside = 0
            let greenlets = (0..<2).map { _ in
                spawn {
                    try lock.withLock {
                        inside += 1
                        defer { inside -= 1 }
                        try Greenlet.yield()
                        return inside
                    }
                }
            }
            try #expect(greenlets[0].value() == 2)
            try greenlets[1].join()
        }
    }

    @Test func `an error-checking pthread_mutex_t refuses the others, a recursive one lets them in`() throws {
        try onHub {
            for (kind, expected) in [(PTHREAD_MUTEX_ERRORCHECK, EDEADLK), (PTHREAD_MUTEX_RECURSIVE, 0)] {
                let mutex = POSIXMutex(kind: Int32(kind))
                #expect(mutex.lock() == 0)
                try #expect(spawn { mutex.lock() }.value() == expected)
                if expected == 0 { mutex.unlock() }
                mutex.unlock()
            }
        }
    }

    @Test func `a lazy property is initialised by each that comes while its initialiser waits`() throws {
        try onHub {
            let object = Lazy()
            let greenlets = (0..<3).map { _ in spawn { object.value } }
            let values = try greenlets.map { try $0.value() }
            #expect(values == [1, 2, 3])
            #expect(object.calls == 3)
        }
    }

    @Test func `errno is the OS thread's, and changes during a wait`() throws {
        try onHub {
            errno = EDOM
            spawn { errno = ERANGE }
            try Greenlet.yield()
            #expect(errno == ERANGE)
        }
    }

    @Test func `each green thread has TaskLocal values of its own, outside a task too`() throws {
        let seen = Handoff<[Int]>()
        // A plain OS thread: those of the tests run tasks.
        let thread = Thread {
            var values: [Int] = []
            for number in 1...2 {
                spawn {
                    try TaskLocals.$number.withValue(number) {
                        try Greenlet.yield()
                        values.append(TaskLocals.number)
                    }
                }
            }
            try? Hub.current.run()
            Hub.current.close()
            seen.give(values)
        }
        thread.start()
        #expect(seen.take() == [1, 2])
    }

    // MARK: Async code

    @Test func `a wait in an actor, on an OS thread of Swift's that has no hub, stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try await Account().deposit()
        }
        expectProgrammingError("a call that needs a hub, in a Swift task on OS thread", in: result)
    }
}

// MARK: - The things that are held

private enum Slow {
    static let value: Int = waitInInitializer()
}

private let slowGlobal: Int = waitInInitializer()

@inline(never)
private func waitInInitializer() -> Int {
    do { try Greenlet.sleep(for: .milliseconds(50)) } catch {}
    return 7
}

private struct Counter {
    nonisolated(unsafe) static var shared = Counter()  // used on one OS thread only
    var number = 0

    mutating func addAfterAWait() throws {
        try Greenlet.sleep(for: .milliseconds(50))
        number += 1
    }
}

private enum TaskLocals {
    @TaskLocal static var number = 0
}

private final class Lazy {
    var calls = 0
    lazy var value: Int = {
        calls += 1
        let number = calls
        do { try Greenlet.yield() } catch {}
        return number
    }()
}

private final class SharedMutex: Sendable {
    let state = Mutex(0)
}

private actor Account {
    func deposit() throws { try Greenlet.sleep(for: .milliseconds(50)) }
}

private final class POSIXMutex: @unchecked Sendable {
    // Unchecked: the mutex guards itself.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init(kind: Int32 = Int32(PTHREAD_MUTEX_NORMAL)) {
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_settype(&attributes, kind)
        pthread_mutex_init(mutex, &attributes)
        pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func lock() -> Int32 { pthread_mutex_lock(mutex) }
    func unlock() { pthread_mutex_unlock(mutex) }

    func withLock(_ body: () throws -> Void) rethrows {
        _ = lock()
        defer { unlock() }
        try body()
    }
}

// MARK: - In a process of its own

/// Runs a hub with the green threads that `body` spawns.  Ends the process with 7 and the watch's first report on standard error; else with 0.
private func reportAndExit(_ body: @escaping @Sendable () -> Void) throws {
    // The alarm ends a process that hangs.
    alarm(30)
    try TestThread {
        try Hub.current.watch(longerThan: .milliseconds(20)) { report in
            let text = Array("\(report)\n".utf8)
            _ = write(STDERR_FILENO, text, text.count)
            _exit(7)
        }
        body()
        try Hub.current.run()
    }.value()
    _exit(0)
}

private func expectLockReport(_ report: String) {
    #expect(report.contains("green thread 3 (second) has not given way"))
    #expect(report.contains("it waits for a lock, and another green thread of this hub"), "\(report)")
    #expect(report.contains("green thread 2 (first) is suspended, and may hold the lock"))
}
