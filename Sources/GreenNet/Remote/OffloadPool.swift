import Glibc
import Synchronization

/// OS threads for calls that block: whoever makes one through the pool waits as for anything else, and its hub goes on meanwhile.
///
/// At most so many calls run at a time; others wait their turn, first come, first served.  An OS thread is started when there is work and
/// ends when there is none.  Green threads of any hub may use it, in a process that does not fork.
public final class OffloadPool: Sendable {
    private struct State: ~Copyable {
        var jobs = Ring<OffloadJob>()
        /// Started, or about to be.
        var threads = 0
        /// Those that have begun.
        var workers: Set<pthread_t> = []
    }

    /// How many calls run at a time.
    public let limit: Int
    private let state = Mutex(State())

    /// That of `Hub.offload`.
    static let shared = OffloadPool(limit: 10)

    /// A pool of at most `limit` OS threads, of which none is started yet.
    public init(limit: Int) {
        require(limit > 0, "a pool of \(limit) OS threads: it takes 1 or more")
        self.limit = limit
    }

    private func withState<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Context.locked(self) { body(&state) } }
    }

    /// Calls `body` on an OS thread of the pool, waits, and returns or throws as it does.  Called by a body of this pool, it calls `body` at once, for
    /// the OS thread that it would wait for may be its own.
    ///
    /// Throws `WaitError.deadlinePassed` where it has not returned by `deadline`, and when killed or when an enclosing time limit is over; `body` never begins
    /// then, or goes on, since nothing can interrupt it, and what it ends with is dropped.  Throws `Errno` where no OS thread can be had.
    public func run<Value: Sendable>(
        until deadline: Deadline = .never, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        try run(waitingFor: .remote, until: deadline, body)
    }

    func run<Value: Sendable>(
        waitingFor kind: WaitKind, until deadline: Deadline, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let own = pthread_self()
        if withState({ $0.workers.contains(own) }) { return try body() }
        let result = RemoteResult<Value>()
        let job = OffloadJob { result.give(Result { try body() }) }
        // Once nobody waits for it, it needs not begin.
        defer { job.withdraw() }
        try add(job)
        guard try result.wait(for: kind, until: deadline) else { throw WaitError.deadlinePassed }
        return try result.result!.get()
    }

    // MARK: OS threads

    /// Queues `job`, and starts an OS thread for it where fewer than the limit run.
    private func add(_ job: OffloadJob) throws(Errno) {
        let needsThread = withState { state in
            state.jobs.append(job)
            guard state.threads < limit else { return false }
            state.threads += 1
            return true
        }
        if needsThread { try startThread() }
    }

    private func startThread() throws(Errno) {
        var thread = pthread_t()
        let own = Unmanaged.passRetained(self)
        let number = pthread_create(&thread, nil, offloadThreadMain, own.toOpaque())
        if number == 0 {
            pthread_detach(thread)
            return
        }
        own.release()
        let others = withState { state in
            state.threads -= 1
            return state.threads
        }
        // With no OS thread at all, the job would wait for ever.
        if others == 0 { throw Errno(number) }
    }

    /// On an OS thread of the pool, until there is nothing left to do.
    fileprivate func work() {
        let own = pthread_self()
        withState { _ = $0.workers.insert(own) }
        while let job = nextJob(for: own) { job.run() }
    }

    private func nextJob(for worker: pthread_t) -> OffloadJob? {
        withState { state in
            if let job = state.jobs.popFirst() { return job }
            state.workers.remove(worker)
            state.threads -= 1
            return nil
        }
    }
}

extension Hub {
    /// Calls `body`, which may block, on another OS thread, waits, and returns or throws as it does: as `OffloadPool.run`, on a pool of ten OS threads that
    /// all hubs share.
    public func offload<Value: Sendable>(
        until deadline: Deadline = .never, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        try OffloadPool.shared.run(until: deadline, body)
    }
}

/// One call.  It happens once, or never.
private final class OffloadJob: Sendable {
    private let body: Mutex<(@Sendable () -> Void)?>

    init(_ body: @escaping @Sendable () -> Void) { self.body = Mutex(body) }

    func run() { take()?() }

    func withdraw() { _ = take() }

    private func take() -> (@Sendable () -> Void)? {
        body.withLock { body in
            Context.locked(self) {
                defer { body = nil }
                return body
            }
        }
    }
}

private let offloadThreadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { pool in
    Unmanaged<OffloadPool>.fromOpaque(pool!).takeRetainedValue().work()
    return nil
}
