import Glibc

/// OS threads that run one body after the other.  One that has nothing to run is kept for `idleTime`, and ends then.
///
/// To start an OS thread for each body takes ten times as long as to hand it to one that waits.
// Guarded by `lock`: all that is not constant, here and in `Worker`.
package final class ThreadCache: @unchecked Sendable {
    /// What all pools use.
    package static let shared = ThreadCache()
    /// How long an OS thread of `shared` waits for the next body.
    package static let idleTime = Duration.seconds(5)

    private let idleTime: Duration
    private let create: ThreadCreation
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// The one that has waited longest comes first, and is the last to be given something: so the others end.
    private var idle: [Worker] = []
    private var threads = 0

    /// As `pthread_create`, whose place it takes in tests.
    package typealias ThreadCreation =
        @Sendable (
            UnsafeMutablePointer<pthread_t>,
            @escaping @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
            UnsafeMutableRawPointer
        ) -> Int32

    package init(
        idleTime: Duration = ThreadCache.idleTime,
        create: @escaping ThreadCreation = { pthread_create($0, nil, $1, $2) }
    ) {
        (self.idleTime, self.create) = (idleTime, create)
        pthread_mutex_init(lock, nil)
    }

    /// Its OS threads hold it: there are none any more.
    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    private func locked<Answer>(_ body: () -> Answer) -> Answer {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// How many OS threads there are, whether they run something or wait.
    package var count: Int { locked { threads } }

    /// Runs `body` on an OS thread, at once.  Never waits.  Throws what `pthread_create` answers where a new one is needed and can't be had.
    package func run(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let worker = locked {
            let worker = idle.popLast()
            worker?.body = body
            return worker
        }
        if let worker { worker.wake() } else { try start(body) }
    }

    private func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let worker = Worker(self, body)
        locked { threads += 1 }
        let argument = Unmanaged.passRetained(worker)
        var thread = pthread_t()
        let number = create(&thread, workerMain, argument.toOpaque())
        if number == 0 { return }
        argument.release()
        locked { threads -= 1 }
        throw SystemError(number)
    }

    /// Ends the OS threads that wait for something to run, and returns when they have ended.  Blocks the calling OS thread for as long.
    package func endIdle() {
        let ending = locked {
            defer { idle = [] }
            for worker in idle { worker.shallEnd = true }
            return idle
        }
        for worker in ending {
            worker.wake()
            pthread_join(worker.thread, nil)
        }
    }

    // MARK: On an OS thread of the cache

    fileprivate func work(_ worker: Worker) {
        while let body = nextBody(for: worker) { body() }
    }

    /// Nil where the OS thread shall end, and is in no list any more.
    private func nextBody(for worker: Worker) -> (@Sendable () -> Void)? {
        locked {
            if worker.body == nil { waitForBody(worker) }
            defer { worker.body = nil }
            if worker.body == nil { threads -= 1 }
            return worker.body
        }
    }

    /// With the lock, which is free meanwhile.
    private func waitForBody(_ worker: Worker) {
        idle.append(worker)
        var end = timespec(Deadline.after(idleTime))
        while worker.body == nil, !worker.shallEnd {
            guard pthread_cond_timedwait(worker.woken, lock, &end) == ETIMEDOUT else { continue }
            // Off the list it is given nothing any more, and is never joined.
            guard let index = idle.firstIndex(where: { $0 === worker }) else { continue }
            idle.remove(at: index)
            pthread_detach(worker.thread)
            return
        }
    }
}

/// One OS thread.
private final class Worker: @unchecked Sendable {
    let cache: ThreadCache
    var body: (@Sendable () -> Void)?
    var shallEnd = false
    /// Set by the OS thread itself, before it is on the list.
    var thread = pthread_t()
    let woken = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ cache: ThreadCache, _ body: @escaping @Sendable () -> Void) {
        (self.cache, self.body) = (cache, body)
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

    /// Outside of the lock, which it would have to wait for.
    func wake() { pthread_cond_signal(woken) }
}

extension timespec {
    fileprivate init(_ moment: Deadline) {
        let (seconds, nanoseconds) = moment.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        self.init(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
    }
}

private let workerMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { worker in
    let worker = Unmanaged<Worker>.fromOpaque(worker!).takeRetainedValue()
    worker.thread = pthread_self()
    worker.cache.work(worker)
    return nil
}
