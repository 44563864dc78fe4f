import Glibc
import Synchronization

/// OS threads for calls that block: the green thread that makes a call through the pool waits, and its hub runs the others meanwhile.
///
/// At most `limit` calls run at a time; others wait their turn, first come, first served.  A call that was given up (by a deadline, a kill or a
/// time limit) can't be interrupted.  It goes on, and counts against `limit` until it returns, unless the pool was made with a `givenUpLimit`.
///
/// An OS thread that has run a call waits 5 seconds for the next one, of this pool or another, then ends.  A call that makes a hub on it, by spawning or
/// waiting, has that hub closed when it returns.  Thread-specific values and the signal mask stay.  A process that is about to fork ends the idle OS
/// threads with `endIdleThreads()`.  Green threads of any hub may use a pool.
public final class OffloadPool: Sendable {
    private struct State: ~Copyable {
        /// The calls that wait for their turn, and calls that were withdrawn meanwhile.
        var queue = Ring<OffloadJob>()
        var withdrawn = 0
        /// That run calls, or are about to.
        var threads = 0
        /// Calls that run though their callers have given them up.
        var givenUp = 0
        /// The OS threads that run calls.
        var workers: Set<pthread_t> = []
    }

    /// How many calls run at a time, those aside that were given up.
    public let limit: Int
    /// How many calls that were given up don't count against `limit`.
    public let givenUpLimit: Int
    private let threads: ThreadCache
    private let state = Mutex(State())

    /// That of `Hub.offload`.
    static let shared = OffloadPool(limit: 10)

    /// A pool of at most `limit` OS threads, of which none is started yet.
    ///
    /// With `givenUpLimit`, as many calls that were given up go on without counting against `limit`: calls that hang (look-ups of names, say) then don't keep
    /// others from running.  The pool has at most `limit + givenUpLimit` OS threads.
    public convenience init(limit: Int, givenUpLimit: Int = 0) {
        self.init(limit: limit, givenUpLimit: givenUpLimit, threads: .shared)
    }

    package init(limit: Int, givenUpLimit: Int = 0, threads: ThreadCache) {
        require(limit > 0, "a pool of \(limit) OS threads: it takes 1 or more")
        require(givenUpLimit >= 0, "a givenUpLimit of \(givenUpLimit): it takes 0 or more")
        (self.limit, self.givenUpLimit, self.threads) = (limit, givenUpLimit, threads)
    }

    private func withState<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// Calls `body` on an OS thread of the pool, waits, and returns or throws as it does.  Called by a body of this pool, it calls `body` at once, for
    /// the OS thread that it would wait for may be its own.
    ///
    /// Throws `WaitError.deadlinePassed` where `body` has not returned by `deadline`, and `WaitError` when the caller is killed or an enclosing time limit
    /// is over.  The call is given up then: where `body` has not begun it never will; else it goes on, and what it ends with is dropped.
    /// Throws `SystemError` where no OS thread can be had.
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
        let job = OffloadJob { refusal in
            if let refusal { result.fail(refusal) } else { result.give(Result { try body() }) }
        }
        add(job)
        defer { if !result.isSet { giveUp(job) } }
        guard try result.wait(for: kind, until: deadline) else { throw WaitError.deadlinePassed }
        return try result.result!.get()
    }

    /// Whether all the OS threads that it may have run calls that were given up: a new call would wait until one of those returns.
    var hangs: Bool { withState { $0.givenUp >= limit + givenUpLimit } }

    /// How many calls wait for their turn.
    var queued: Int { withState { $0.queue.count - $0.withdrawn } }

    /// For tests: withdrawn calls count too.
    var queueLength: Int { withState { $0.queue.count } }

    /// Ends the OS threads of all pools that wait for a next call, and returns when they have ended: how many run a call, and go on.
    ///
    /// For a program that is about to fork, or that counts its OS threads.  One whose call has returned takes a moment until it waits for the next.
    /// Blocks the calling OS thread for a moment, and may be called from any.
    @discardableResult
    public static func endIdleThreads() -> Int {
        ThreadCache.shared.endIdle()
        return ThreadCache.shared.count
    }

    // MARK: Calls

    private func add(_ job: OffloadJob) {
        let needsThread = withState { state in
            state.queue.append(job)
            return reserveThread(in: &state)
        }
        if needsThread { startThread() }
    }

    /// The caller of `job` waits no more.
    private func giveUp(_ job: OffloadJob) {
        let (body, needsThread) = withState { state in
            switch job.stage {
            case .queued: return (withdraw(job, from: &state), false)
            case .running:
                job.isGivenUp = true
                state.givenUp += 1
                return (nil, reserveThread(in: &state))
            case .ended: return (nil, false)
            }
        }
        if needsThread { startThread() }
        // Goes here, outside the lock: what it holds may call again as it goes.
        _ = body
    }

    private func withdraw(_ job: OffloadJob, from state: inout State) -> OffloadJob.Body? {
        state.withdrawn += 1
        let body = job.end()
        // Else calls that hang, and the calls that were given up behind them, would take more and more memory.
        if state.withdrawn * 2 > state.queue.count {
            for _ in 0..<state.queue.count {
                let job = state.queue.removeFirst()
                if job.stage == .queued { state.queue.append(job) }
            }
            state.withdrawn = 0
        }
        return body
    }

    // MARK: OS threads

    private func capacity(_ state: borrowing State) -> Int { limit + min(state.givenUp, givenUpLimit) }

    /// Counts one more, where a call waits for it and there may be one more.
    private func reserveThread(in state: inout State) -> Bool {
        guard state.queue.count > state.withdrawn, state.threads < capacity(state) else { return false }
        state.threads += 1
        return true
    }

    private func startThread() {
        do throws(SystemError) { try threads.run { self.work() } } catch { threadFailed(error) }
    }

    /// OS threads of other callers may have failed at the same time: the last failure ends all calls that would wait for an OS thread that never comes.
    private func threadFailed(_ error: SystemError) {
        let stranded = withState { state in
            state.threads -= 1
            // An OS thread whose call was given up may never be free again.
            return state.threads > state.givenUp ? [] : endQueued(in: &state)
        }
        for body in stranded { body(error) }
    }

    private func endQueued(in state: inout State) -> [OffloadJob.Body] {
        var bodies: [OffloadJob.Body] = []
        while let job = state.queue.popFirst() {
            if let body = job.end() { bodies.append(body) }
        }
        state.withdrawn = 0
        return bodies
    }

    /// On an OS thread, until nothing is left to do, or others do it.
    private func work() {
        let own = pthread_self()
        var last: OffloadJob?
        while let (job, body) = nextCall(after: last, on: own) {
            body(nil)
            // A call that made a hub leaves it here.
            if Context.running != nil { Hub.current.close() }
            last = job
        }
    }

    private func nextCall(after last: OffloadJob?, on own: pthread_t) -> (OffloadJob, OffloadJob.Body)? {
        withState { state in
            if let last {
                _ = last.end()
                if last.isGivenUp { state.givenUp -= 1 }
            }
            if state.threads <= capacity(state), let next = firstCall(in: &state) {
                state.workers.insert(own)
                return next
            }
            state.workers.remove(own)
            state.threads -= 1
            return nil
        }
    }

    private func firstCall(in state: inout State) -> (OffloadJob, OffloadJob.Body)? {
        while let job = state.queue.popFirst() {
            if let body = job.begin() { return (job, body) }
            state.withdrawn -= 1
        }
        return nil
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
// All of it is guarded by the pool's mutex.
private final class OffloadJob: @unchecked Sendable {
    /// Is given the error where no OS thread can be had.
    typealias Body = @Sendable (SystemError?) -> Void

    enum Stage {
        case queued, running, ended
    }

    private(set) var stage = Stage.queued
    /// Runs, and its caller has given it up.
    var isGivenUp = false
    private var body: Body?

    init(_ body: @escaping Body) { self.body = body }

    /// Nil where it was withdrawn.
    func begin() -> Body? {
        guard stage == .queued else { return nil }
        stage = .running
        defer { body = nil }
        return body
    }

    /// What it would have done, where it has not begun.
    func end() -> Body? {
        stage = .ended
        defer { body = nil }
        return body
    }
}
