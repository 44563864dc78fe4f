import Glibc
import GreenNet

/// OS threads that are made once and run one job after the other, first come, first served.
final class ThreadPool: @unchecked Sendable {
    // Unchecked: `jobs` is touched under the lock only.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let jobCame = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: ArraySlice<@Sendable () -> Void> = []

    /// Throws where the system refuses an OS thread; the OS threads made before stay, and are idle.
    init(size: Int) throws(SystemError) {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(jobCame, nil)
        for _ in 0..<size {
            try OSThread.start(named: "pool", stackSize: OSThread.smallStack, blocksSignals: true) { [self] in
                work()
            }
        }
    }

    func run(_ job: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(lock)
        jobs.append(job)
        pthread_mutex_unlock(lock)
        pthread_cond_signal(jobCame)
    }

    private func work() -> Never {
        while true { next()() }
    }

    private func next() -> @Sendable () -> Void {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while jobs.isEmpty { pthread_cond_wait(jobCame, lock) }
        return jobs.removeFirst()
    }
}
