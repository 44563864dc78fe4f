import Glibc
import GreenNet

/// An OS thread that runs `body` once.  Its creator may take its result.
///
/// It runs `body` as a task's only job, since a task inherits the current test from its creator: an
/// expectation in any green thread counts for that test.
package final class TestThread<R: Sendable>: Sendable {
    private let outcome = Handoff<Result<R, any Error>>()
    private let executor = OneJobExecutor()

    package init(_ body: @escaping @Sendable () throws -> R) {
        Task(executorPreference: executor) { [outcome] in outcome.give(Result { try body() }) }
    }

    /// Waits for the OS thread's end, including its thread-specific destructors.  Nil if it still runs after `limit`.
    package func result(within limit: Duration = .seconds(60)) -> Result<R, any Error>? {
        guard let result = outcome.take(within: limit) else { return nil }
        executor.thread!.join()
        return result
    }

    /// Waits for the OS thread's end, and returns or throws as `body` did.
    @discardableResult
    package func value(within limit: Duration = .seconds(60)) throws -> R {
        guard let result = result(within: limit) else { throw Stuck() }
        return try result.get()
    }
}

/// Starts an OS thread for its only job.
private final class OneJobExecutor: TaskExecutor {
    // Set by the one call of `enqueue`, which making the task includes.
    nonisolated(unsafe) private(set) var thread: OSThread?

    func enqueue(_ job: consuming ExecutorJob) {
        let (job, executor) = (UnownedJob(job), asUnownedTaskExecutor())
        // A sanitizer's frames are several times as large.
        let stackSize = Sanitizer.active == .none ? 8 << 20 : 64 << 20
        do throws(SystemError) {
            thread = try OSThread.start(stackSize: stackSize) {
                LeakCheck.markOSThread()
                if Sanitizer.active == .none { overwriteFreedMemory() }
                job.runSynchronously(on: executor)
            }
        } catch {
            programmingError("no OS thread for a test: \(error)")
        }
    }
}

/// Makes the C library overwrite freed memory in the whole process, so that a use after free shows.
private func overwriteFreedMemory() {
    // Swift's view of glibc leaves malloc.h out.
    typealias Mallopt = @convention(c) (Int32, Int32) -> Int32
    let (perturb, pattern): (Int32, Int32) = (-6, 0x5A)
    guard let mallopt = dlsym(nil, "mallopt") else { return }
    _ = unsafeBitCast(mallopt, to: Mallopt.self)(perturb, pattern)
}

/// One value that one OS thread gives and another takes.  Taking blocks the OS thread, so it is not for waiting on a hub.
///
/// Built from POSIX calls, which ThreadSanitizer supports.
package final class Handoff<Value: Sendable>: @unchecked Sendable {
    // Guarded by `lock`.
    private var value: Value?
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let given = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(given, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(given)
        pthread_mutex_destroy(lock)
        given.deallocate()
        lock.deallocate()
    }

    package func give(_ value: Value) {
        pthread_mutex_lock(lock)
        self.value = value
        pthread_cond_broadcast(given)
        pthread_mutex_unlock(lock)
    }

    /// Waits for the value; nil if there is none after `limit`.
    package func take(within limit: Duration = .seconds(60)) -> Value? {
        let end = Deadline.after(limit).nanoseconds
        var moment = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while value == nil, pthread_cond_timedwait(given, lock, &moment) == 0 {}
        return value
    }
}

extension Handoff where Value == Void {
    package func give() { give(()) }
}
