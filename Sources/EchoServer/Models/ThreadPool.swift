import Glibc
import GreenNet
import Synchronization

/// What the OS threads of a pool serve besides jobs: clients that they accept by themselves.
protocol PoolClients: AnyObject, Sendable {
    /// The listener that the pool's set reports by `number` may have a client.
    func serveClients(at number: UInt64, by thread: PoolThread, of pool: ThreadPool)
    /// A reminder that was asked for.
    func watchAll()
    /// The next client would wake no OS thread: all are busy, and there can be no more of them.
    func noThreadWaits()
}

/// OS threads that run one job after the other: the least number of them from the start, more when all are busy.
final class ThreadPool: @unchecked Sendable {
    // Unchecked: the variables are touched under the lock only.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var jobs: ArraySlice<Job> = []
    private var lastJob = 0
    /// OS threads in all.
    private var count = 0
    /// Those that have no job: they wait for one, have been woken for one that they have not taken yet, or are being made.
    private var idle = 0
    private var threads: [ObjectIdentifier: PoolThread] = [:]
    private var isEnding = false
    /// As in `jobs`, for a look without the lock.
    private let jobCount = Atomic(0)
    private let kind: Kind
    private let idleTime: Duration
    private let start: Start
    private let onChange: @Sendable (_ size: Int, _ change: Int) -> Void
    private let clients: (any PoolClients)?
    /// All idle OS threads wait here, for jobs too.
    let listeners: ListenerSet

    private struct Job {
        let number: Int
        let body: @Sendable () -> Void
        let refuse: @Sendable (SystemError) -> Void
    }

    /// Which OS threads there are.
    enum Kind {
        /// As many as the size says.  Where the system refuses a further one, a job waits for one of the others.
        case sized(PoolSize)
        /// One for each job; this many idle ones at most are kept.  Where the system refuses a further one, a job does not wait.
        case unlimited(keeping: Int)

        var size: PoolSize {
            if case .sized(let size) = self { size } else { PoolSize(least: 0, most: .max) }
        }
    }

    /// An OS thread beyond the least number ends when it has been idle for `idleTime`, unless it is the only one that waits for `clients`.  `onChange` is told each
    /// new number, and by how many it is larger than before, on any OS thread.
    ///
    /// Throws where the system refuses an OS thread; the OS threads made before stay, and are idle.
    init(
        _ kind: Kind, idleTime: Duration = PoolSize.idleTime, clients: (any PoolClients)? = nil,
        start: @escaping Start = ThreadPool.start,
        onChange: @escaping @Sendable (_ size: Int, _ change: Int) -> Void = { _, _ in }
    ) throws(SystemError) {
        (self.kind, self.idleTime, self.clients, self.start, self.onChange) = (kind, idleTime, clients, start, onChange)
        listeners = try ListenerSet()
        pthread_mutex_init(lock, nil)
        (count, idle) = (size.least, size.least)
        for _ in 0..<size.least { try startThread() }
    }

    /// Its OS threads hold it: all have ended.
    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    private var size: PoolSize { kind.size }

    private func locked<Answer>(_ body: () -> Answer) -> Answer {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// Throws where the system refuses a further OS thread, and the job can't wait for another one.  Where that shows later, since the OS thread that was to run it
    /// serves a client, or could not be made, `refuse` is called instead of `body`, on any OS thread.
    func run(
        _ body: @escaping @Sendable () -> Void, refuse: @escaping @Sendable (SystemError) -> Void = { _ in }
    ) throws(SystemError) {
        let (job, newSize) = locked {
            lastJob += 1
            jobs.append(Job(number: lastJob, body: body, refuse: refuse))
            jobCount.store(jobs.count, ordering: .relaxed)
            return (lastJob, jobs.count > idle ? countOneMore() : nil)
        }
        guard let newSize else { return listeners.wakeOne() }
        do throws(SystemError) { try grow(to: newSize) } catch {
            if case .unlimited = kind, takeBack(job) { throw error }
            listeners.wakeOne()
        }
    }

    /// Returns false where an OS thread has taken the job meanwhile.
    private func takeBack(_ job: Int) -> Bool {
        locked {
            guard jobs.last?.number == job else { return false }
            jobs.removeLast()
            jobCount.store(jobs.count, ordering: .relaxed)
            return true
        }
    }

    /// Whether jobs wait for an OS thread.
    var hasJobs: Bool { jobCount.load(ordering: .relaxed) > 0 }

    /// The OS threads that serve clients, or wait.
    var all: [PoolThread] { locked { Array(threads.values) } }

    /// Makes a further OS thread where all are busy.  Returns whether one waits.
    func keepOneWaiting() -> Bool {
        let (waits, newSize) = locked {
            let waits = idle > jobs.count || isEnding
            return (waits, waits ? nil : countOneMore())
        }
        guard let newSize else { return waits }
        do throws(SystemError) { try grow(to: newSize) } catch {
            for job in takeBackSurplus() { job.refuse(error) }
            return false
        }
        return true
    }

    /// The jobs for which there is no OS thread, where they do not wait for another one.
    private func takeBackSurplus() -> [Job] {
        guard case .unlimited = kind else { return [] }
        return locked {
            let surplus = Array(jobs.suffix(max(0, jobs.count - idle)))
            jobs.removeLast(surplus.count)
            jobCount.store(jobs.count, ordering: .relaxed)
            return surplus
        }
    }

    /// Ends the idle OS threads, and each other one after its job.
    func end() {
        locked { isEnding = true }
        listeners.wakeAllForEver()
    }

    /// With the lock.  The new number of OS threads; nil where there can be no more.
    private func countOneMore() -> Int? {
        guard count < size.most else { return nil }
        (count, idle) = (count + 1, idle + 1)
        return count
    }

    private func grow(to newSize: Int) throws(SystemError) {
        do throws(SystemError) { try startThread() } catch {
            let waits = locked {
                (count, idle) = (count - 1, idle - 1)
                return idle > 0
            }
            // One that is busy since may have counted on the one that could not be made.
            if !waits { clients?.noThreadWaits() }
            throw error
        }
        onChange(newSize, 1)
    }

    private func startThread() throws(SystemError) {
        let name: String? = if case .sized = kind { "pool" } else { nil }
        try start(name) { [self] in work() }
    }

    /// Starts an OS thread with this name.
    typealias Start = @Sendable (String?, @escaping @Sendable () -> Void) throws(SystemError) -> Void

    @Sendable private static func start(_ name: String?, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        try OSThread.start(named: name, stackSize: OSThread.smallStack, blocksSignals: true, body)
    }

    // MARK: On its OS threads

    private enum Task {
        case job(@Sendable () -> Void)
        case client(UInt64)
        /// With the new size, unless the pool ends as a whole.
        case end(size: Int?)
    }

    private func work() {
        let thread = PoolThread()
        locked { threads[ObjectIdentifier(thread)] = thread }
        while true {
            switch nextTask() {
            case .job(let body):
                if let clients, !keepOneWaiting() { clients.noThreadWaits() }
                body()
            case .client(let number): clients?.serveClients(at: number, by: thread, of: self)
            case .end(let size):
                locked { threads[ObjectIdentifier(thread)] = nil }
                if let size { onChange(size, -1) }
                return
            }
            locked { idle += 1 }
        }
    }

    private func nextTask() -> Task {
        let end = Deadline.after(idleTime)
        while true {
            if let task = locked({ taskNow(end) }) { return task }
            // Those of the least number look again only when there is a job, or when they have become more than that.
            switch listeners.wait(until: size.changes && !end.hasPassed ? end : .never) {
            case .listener(let number):
                locked { idle -= 1 }
                return .client(number)
            case .reminder: clients?.watchAll()
            case .woken, .timedOut: continue
            }
        }
    }

    /// With the lock.
    private func taskNow(_ end: Deadline) -> Task? {
        if let job = jobs.popFirst() {
            jobCount.store(jobs.count, ordering: .relaxed)
            idle -= 1
            return .job(job.body)
        }
        guard isEnding || isSurplus(end) else { return nil }
        (count, idle) = (count - 1, idle - 1)
        return .end(size: isEnding ? nil : count)
    }

    private func isSurplus(_ end: Deadline) -> Bool {
        if case .unlimited(let kept) = kind, idle > kept { return true }
        return count > size.least && idle > (clients == nil ? 0 : 1) && end.hasPassed
    }
}
