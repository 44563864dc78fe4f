import Glibc
import Synchronization

/// OS threads that run one body after the other.  An idle OS thread ends after `idleTime`.
///
/// Starting an OS thread for each body takes ten times as long as handing the body to an idle one.
// Guarded by `lock`: all that is not constant, here and in `Worker`.
package final class ThreadCache: @unchecked Sendable {
    /// The cache of all pools.
    package static let shared = ThreadCache()
    /// How long an OS thread of `shared` waits for the next body.
    package static let idleTime = Duration.seconds(5)

    private let idleTime: Duration
    private let startThread: ThreadStart
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// The one that has waited longest comes first, and is used last: so that surplus OS threads end.
    private var idle: [Worker] = []
    private var threads = 0

    /// As `OSThread.start`, whose place it takes in tests: they run in this process, and a preloaded library that makes calls fail can't.
    package typealias ThreadStart = @Sendable (@escaping @Sendable () -> Void) throws(SystemError) -> OSThread

    package init(idleTime: Duration = ThreadCache.idleTime, startThread: @escaping ThreadStart = ThreadCache.start) {
        (self.idleTime, self.startThread) = (idleTime, startThread)
        pthread_mutex_init(lock, nil)
    }

    /// The name of an OS thread before its first body.
    package static let firstName = "offload"

    package static let start: ThreadStart = { (body) throws(SystemError) in try OSThread.start(named: firstName, body) }

    /// Its OS threads hold it: all have ended.
    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    private func locked<Answer>(_ body: () -> Answer) -> Answer {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// How many OS threads there are, busy or idle.
    package var count: Int { locked { threads } }

    /// Runs `body` on an OS thread, at once, which is called `name` meanwhile and until its next body.  Never waits.  Throws what `OSThread.start` throws, where
    /// it needs a new one.
    package func run(
        named name: String = ThreadCache.firstName, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        let worker = locked {
            let worker = idle.popLast()
            worker?.give((name, body))
            return worker
        }
        if let worker { worker.wake() } else { try start((name, body)) }
    }

    private func start(_ task: Worker.Task) throws(SystemError) {
        let worker = Worker(self, task)
        locked { threads += 1 }
        do throws(SystemError) {
            let thread = try startThread { [self] in work(worker) }
            locked { worker.thread = thread }
            worker.wake()
        } catch {
            locked { threads -= 1 }
            throw error
        }
    }

    /// Ends the idle OS threads.  Blocks the calling OS thread until they have ended.
    package func endIdle() {
        let ending = locked {
            defer { idle = [] }
            for worker in idle { worker.askToEnd() }
            return idle
        }
        for worker in ending {
            worker.wake()
            worker.thread!.join()
        }
    }

    // MARK: On an OS thread of the cache

    fileprivate func work(_ worker: Worker) {
        var name = ThreadCache.firstName
        while let task = nextTask(for: worker) {
            if task.name != name { LinuxCalls.nameThread(task.name) }
            name = task.name
            task.body()
        }
    }

    /// Nil where the OS thread is to end, and is in no list any more.
    private func nextTask(for worker: Worker) -> Worker.Task? {
        locked {
            if worker.task == nil { waitForTask(worker) }
            defer { worker.task = nil }
            if worker.task == nil { threads -= 1 }
            return worker.task
        }
    }

    /// With the lock, which it releases while it waits.
    private func waitForTask(_ worker: Worker) {
        // Its first body may be done before its starter has the handle, which `endIdle` needs.
        while worker.thread == nil { pthread_cond_wait(worker.woken, lock) }
        let begin = Deadline.now
        idle.append(worker)
        lookForTask(worker)
        defer { worker.waited(since: begin) }
        var end = timespec(begin + idleTime)
        while worker.task == nil, !worker.shallEnd {
            guard pthread_cond_timedwait(worker.woken, lock, &end) == ETIMEDOUT else { continue }
            // Off the list it is given nothing any more, and is never joined: it goes detached.
            guard let index = idle.firstIndex(where: { $0 === worker }) else { continue }
            idle.remove(at: index)
            return
        }
    }
}

extension ThreadCache {
    /// With the lock, which it releases meanwhile.  A body that comes within microseconds finds an OS thread that has not gone to sleep; see `Spin`.
    private func lookForTask(_ worker: Worker) {
        guard worker.shallLook else { return }
        pthread_mutex_unlock(lock)
        worker.look()
        pthread_mutex_lock(lock)
    }
}

/// One OS thread.
private final class Worker: @unchecked Sendable {
    typealias Task = (name: String, body: @Sendable () -> Void)

    let cache: ThreadCache
    var task: Task?
    private(set) var shallEnd = false
    /// It has got a task, or is to end: for a look without the lock.
    private let isCalled = Atomic<Bool>(false)
    /// Its own OS thread's alone.
    private var spin = Spin()
    /// Set by its starter.
    var thread: OSThread?
    let woken = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ cache: ThreadCache, _ task: Task) {
        (self.cache, self.task) = (cache, task)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(woken, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(woken)
        woken.deallocate()
    }

    func give(_ task: Task) {
        self.task = task
        isCalled.store(true, ordering: .releasing)
    }

    func askToEnd() {
        shallEnd = true
        isCalled.store(true, ordering: .releasing)
    }

    var shallLook: Bool { Spin.isPossible && spin.isDue }

    func look() { _ = spin.ended(found: Spin.look { isCalled.load(ordering: .acquiring) }) }

    /// To be called with the lock, when a wait is over.
    func waited(since begin: Deadline) {
        isCalled.store(false, ordering: .relaxed)
        spin.jobsCame = task != nil
        spin.slept(for: .now - begin)
    }

    /// Outside of the lock, which the OS thread needs when it wakes.
    func wake() { pthread_cond_signal(woken) }
}

extension timespec {
    fileprivate init(_ moment: Deadline) {
        let (seconds, nanoseconds) = moment.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        self.init(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
    }
}
