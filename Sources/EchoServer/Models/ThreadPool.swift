import Glibc
import GreenNet

/// OS threads that run one job after the other, first come, first served: the least number of them from the start, more when all are busy.
final class ThreadPool: @unchecked Sendable {
    // Unchecked: the variables are touched under the lock only.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let jobCame = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: ArraySlice<@Sendable () -> Void> = []
    /// OS threads in all.
    private var count = 0
    /// Those that have no job: they wait for one, have been woken for one that they have not taken yet, or are being made.
    private var idle = 0
    private let size: PoolSize
    private let idleTime: Duration
    private let onChange: @Sendable (_ size: Int, _ change: Int) -> Void

    /// An OS thread beyond the least number ends when it has been idle for `idleTime`.  `onChange` is told each new number, and
    /// by how many it is larger than before, on any OS thread.
    ///
    /// Throws where the system refuses an OS thread; the OS threads made before stay, and are idle.
    init(
        _ size: PoolSize, idleTime: Duration = PoolSize.idleTime,
        onChange: @escaping @Sendable (_ size: Int, _ change: Int) -> Void = { _, _ in }
    ) throws(SystemError) {
        (self.size, self.idleTime, self.onChange) = (size, idleTime, onChange)
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // The clock of deadlines, which is not set back.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(jobCame, &attributes)
        pthread_condattr_destroy(&attributes)
        (count, idle) = (size.least, size.least)
        for _ in 0..<size.least { try startThread() }
    }

    /// Where the system refuses a further OS thread, the job waits for one of the others.
    func run(_ job: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(lock)
        jobs.append(job)
        let grows = jobs.count > idle && count < size.most
        if grows { (count, idle) = (count + 1, idle + 1) }
        let now = count
        pthread_mutex_unlock(lock)
        if grows { grow(to: now) } else { pthread_cond_signal(jobCame) }
    }

    private func grow(to now: Int) {
        do throws(SystemError) {
            try startThread()
            onChange(now, 1)
        } catch {
            pthread_mutex_lock(lock)
            (count, idle) = (count - 1, idle - 1)
            pthread_mutex_unlock(lock)
            pthread_cond_signal(jobCame)
        }
    }

    private func startThread() throws(SystemError) {
        try OSThread.start(named: "pool", stackSize: OSThread.smallStack, blocksSignals: true) { [self] in
            while let job = next() {
                job()
                jobEnded()
            }
        }
    }

    /// Nil where this OS thread is to end.
    private func next() -> (@Sendable () -> Void)? {
        pthread_mutex_lock(lock)
        let end = Deadline.after(idleTime)
        while jobs.isEmpty, !(count > size.least && end.hasPassed) { wait(until: end) }
        idle -= 1
        let job = jobs.popFirst()
        if job == nil { count -= 1 }
        let now = count
        pthread_mutex_unlock(lock)
        if job == nil { onChange(now, -1) }
        return job
    }

    private func jobEnded() {
        pthread_mutex_lock(lock)
        idle += 1
        pthread_mutex_unlock(lock)
    }

    /// With the lock held, which is given up meanwhile.
    private func wait(until end: Deadline) {
        // Those of the least number look again only when there is a job, or when they have become more than that.
        guard size.changes, !end.hasPassed else {
            pthread_cond_wait(jobCame, lock)
            return
        }
        let nanoseconds = end.nanoseconds
        var moment = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        pthread_cond_timedwait(jobCame, lock, &moment)
    }
}
