import Glibc
import GreenNet

/// OS threads that run tasks, so that no thread of the runtime's own pool is started, which a test would seem to leave behind.
package final class TaskThreads: TaskExecutor, @unchecked Sendable {
    // Guarded by `lock`.
    private var jobs = Ring<UnownedJob>()
    private var isEnding = false
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Set by `with`, once.
    private var threads: [OSThread] = []

    /// Runs `body` with `count` OS threads that run tasks.  They end when it has returned: it waits for its tasks.
    package static func with<Result>(_ count: Int = 2, _ body: (TaskThreads) throws -> Result) throws -> Result {
        let tasks = TaskThreads()
        tasks.threads = try (0..<count).map { _ in
            try OSThread.start(stackSize: Sanitizer.active == .none ? 1 << 20 : 64 << 20) {
                LeakCheck.markOSThread()
                tasks.runJobs()
            }
        }
        defer { tasks.end() }
        return try body(tasks)
    }

    private init() {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    /// Starts a task.  An expectation in it counts for the current test.
    package func start<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) -> TestTask<Value> {
        let result = RemoteResult<Value>()
        let task = Task(executorPreference: self) {
            do { result.set(try await body()) } catch { result.fail(error) }
        }
        return TestTask(result: result, task: task)
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(lock)
        jobs.append(job)
        pthread_cond_signal(changed)
        pthread_mutex_unlock(lock)
    }

    private func runJobs() {
        while let job = nextJob() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    private func nextJob() -> UnownedJob? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while true {
            if let job = jobs.popFirst() { return job }
            if isEnding { return nil }
            pthread_cond_wait(changed, lock)
        }
    }

    private func end() {
        pthread_mutex_lock(lock)
        isEnding = true
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(lock)
        for thread in threads { thread.join() }
    }
}

/// A task of `TaskThreads`.
package struct TestTask<Value: Sendable>: Sendable {
    package let result: RemoteResult<Value>
    fileprivate let task: Task<Void, Never>

    package func cancel() { task.cancel() }

    /// Waits for the task's end, and returns or throws as its body did.
    @discardableResult
    package func value() throws -> Value { try result.value(until: .after(.seconds(60) * Sanitizer.slowness)) }
}
