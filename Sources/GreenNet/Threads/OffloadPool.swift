import Glibc
import Synchronization

/// A pool of OS threads for calls that block: the green thread that makes a call through the pool waits, and its hub runs other green threads meanwhile.
///
/// At most `limit` calls run at a time; further calls wait their turn, first come, first served.  A deadline, a kill or a time limit does not interrupt a
/// call: it is given up, runs on, and counts against `limit` until it returns, unless the pool was made with a `givenUpLimit`.
///
/// An OS thread that has run a call waits 5 seconds for the next one, of this pool or another, then ends.  If a call makes a hub, by spawning or
/// waiting, that hub is closed when the call returns.  Thread-specific values and the signal mask stay.  A process that is about to fork ends the idle OS
/// threads with `endIdleThreads()`.  Green threads of any hub may use a pool.
public final class OffloadPool: Sendable {
    private struct State: ~Copyable {
        /// The calls that wait for their turn, and calls that were withdrawn meanwhile.
        var queue = Ring<OffloadJob>()
        var withdrawn = 0
        /// How many OS threads run calls, or are about to.
        var threads = 0
        /// How many calls run on after their callers have given them up.
        var givenUp = 0
        /// The OS threads that run calls.
        var workers: Set<pthread_t> = []
    }

    /// How many calls run at a time, without calls that were given up.
    public let limit: Int
    /// How many calls that were given up don't count against `limit`.
    public let givenUpLimit: Int
    private let threads: ThreadCache
    private let state = Mutex(State())

    /// The pool of `Hub.offload`.
    static let shared = OffloadPool(limit: 10)

    /// A pool of at most `limit` OS threads.  It starts them when calls need them.
    ///
    /// Up to `givenUpLimit` calls that were given up do not count against `limit`: calls that hang (look-ups of names, say) then don't keep
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

    /// Calls `body` on an OS thread of the pool, waits, and returns its value or throws its error.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.deadlinePassed` where `body` has not returned by `deadline`, and `WaitError` when the caller is killed or an enclosing time limit
    /// is over.  The call is given up then: if `body` has not begun it never will, else it runs on and its result is dropped.
    /// Throws `SystemError` where no OS thread can be started.  The type is `any Error`, for `body` can throw any type.
    /// A call made by a body of this pool runs at once on the same OS thread, for it might wait for its own.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
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

    /// Whether calls that were given up occupy every OS thread that the pool may have: a new call would wait until one of them returns.
    var hangs: Bool { withState { $0.givenUp >= limit + givenUpLimit } }

    /// How many calls wait for their turn.
    var queued: Int { withState { $0.queue.count - $0.withdrawn } }

    /// For tests: with calls that were withdrawn.
    var queueLength: Int { withState { $0.queue.count } }

    /// Ends the idle OS threads of all pools, and returns, when they have ended, how many OS threads run a call.
    ///
    /// For a program that is about to fork, or that counts its OS threads.  An OS thread whose call has just returned is not idle for a moment.
    /// Callable from any OS thread, which it blocks until the idle ones have ended.
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

    /// The caller of `job` does not wait any more.
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
        // Released here, outside the lock: the deinit of an object that it holds may call the pool.
        _ = body
    }

    private func withdraw(_ job: OffloadJob, from state: inout State) -> OffloadJob.Body? {
        state.withdrawn += 1
        let body = job.end()
        // Otherwise withdrawn calls behind calls that hang would take more and more memory.
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

    /// Counts one more OS thread, if a call waits for it and the pool may have one more.
    private func reserveThread(in state: inout State) -> Bool {
        guard state.queue.count > state.withdrawn, state.threads < capacity(state) else { return false }
        state.threads += 1
        return true
    }

    private func startThread() {
        do throws(SystemError) { try threads.run { self.work() } } catch { threadFailed(error) }
    }

    /// Other callers may have failed at the same time: the last one ends all calls that would wait for an OS thread in vain.
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

    /// On an OS thread, until no call is left for it.
    private func work() {
        let own = pthread_self()
        var last: OffloadJob?
        while let (job, body) = nextCall(after: last, on: own) {
            body(nil)
            // The hub that the call has made.
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
    /// Calls `body`, which may block, on another OS thread, waits, and returns its value or throws its error: as `OffloadPool.run`, on a pool of ten OS
    /// threads that all hubs share.  Callable from any green thread of this hub.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func offload<Value: Sendable>(
        until deadline: Deadline = .never, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        try OffloadPool.shared.run(until: deadline, body)
    }
}

/// One call.  It is made once, or never.
// All of it is guarded by the pool's mutex.
private final class OffloadJob: @unchecked Sendable {
    /// Called with an error where no OS thread can be started.
    typealias Body = @Sendable (SystemError?) -> Void

    enum Stage {
        case queued, running, ended
    }

    private(set) var stage = Stage.queued
    /// It runs, and its caller has given it up.
    var isGivenUp = false
    private var body: Body?

    init(_ body: @escaping Body) { self.body = body }

    /// Nil if it was withdrawn.
    func begin() -> Body? {
        guard stage == .queued else { return nil }
        stage = .running
        defer { body = nil }
        return body
    }

    /// Its body, if it has not begun.
    func end() -> Body? {
        stage = .ended
        defer { body = nil }
        return body
    }
}
