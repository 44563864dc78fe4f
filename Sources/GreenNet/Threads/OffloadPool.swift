import Glibc
import Synchronization

/// A pool of OS threads for calls that block or compute: `run` waits for its call, `submit` returns a handle, `map` makes one call for each item.
///
///     let pool = OffloadPool(limit: 4, name: "images")
///     let size = try pool.run { try readSize(of: path) }
///     let call = try pool.submit { try decode(path) }
///     let thumbnails = try pool.map(paths) { try shrink($0) }
///
/// At most `limit` calls run at a time; further calls wait their turn, first come, first served.  Nothing interrupts a call: a `run` that ends early gives its
/// call up, which runs on, and counts against `limit` until it returns, unless the pool was made with a `givenUpLimit`.
///
/// A call may use its own pool.  `run` makes the inner call at once, and `value()` makes an inner call that has not begun.  While a call waits for inner calls in another way, such
/// as `joinAll`, it does not count against `limit`, so that they have an OS thread.
///
/// An OS thread that has run a call waits 5 seconds for the next one, of this pool or another, then ends.  If a call makes a hub, by spawning or
/// waiting, that hub is closed when the call returns.  Thread-specific values and the signal mask stay.  A process that is about to fork ends the idle OS
/// threads with `endIdleThreads()`.  Green threads of any hub may use a pool; the task-locals that are bound where one makes a call are bound in the call.
public final class OffloadPool: Sendable {
    private struct State: ~Copyable {
        /// The calls that wait for their turn, and calls that have left the line meanwhile.
        var queue = Ring<any OffloadJob>()
        var left = 0
        /// How many OS threads run calls, or are about to.
        var threads = 0
        var running = 0
        /// How many of those run on after their callers have given them up.
        var givenUp = 0
        /// The OS threads that run calls, with how many waits for calls of this pool each has under way.
        var workers: [pthread_t: Int] = [:]
        /// How many of `workers` have any.
        var waitingWorkers = 0
        var done = 0
        var withdrawn = 0
        /// Calls whose end was not told yet, and `onEnd` bodies that have not ended.
        var untold = 0
        var followers = 0
        var isShutDown = false
        /// Green threads that wait until `untold` and `followers` are 0.
        var idleWaiters: [RemoteWaiter] = []

        var queued: Int { queue.count - left }
    }

    /// How many calls run at a time, without calls that were given up.
    public let limit: Int
    /// How many calls that were given up don't count against `limit`.
    public let givenUpLimit: Int
    /// The name that its OS threads have while they run its calls, as `ps -L` and debuggers show it, cut after 15 bytes.
    public let name: String
    private let threads: ThreadCache
    private let state = Mutex(State())

    /// The pool of `Hub.offload`.
    static let shared = OffloadPool(limit: 10)

    /// A pool of at most `limit` OS threads, 1 or more.  It starts them when calls need them.
    ///
    /// Up to `givenUpLimit` calls that were given up, 0 or more, do not count against `limit`: calls that hang (look-ups of names, say) then don't keep
    /// others from running.  The pool has at most `limit + givenUpLimit` OS threads, and those whose calls wait for calls of the same pool.
    public convenience init(limit: Int, givenUpLimit: Int = 0, name: String = "offload") {
        self.init(limit: limit, givenUpLimit: givenUpLimit, name: name, threads: .shared)
    }

    package init(limit: Int, givenUpLimit: Int = 0, name: String = "offload", threads: ThreadCache) {
        require(limit > 0, "a pool of \(limit) OS threads: it takes 1 or more")
        require(givenUpLimit >= 0, "a givenUpLimit of \(givenUpLimit): it takes 0 or more")
        (self.limit, self.givenUpLimit, self.name, self.threads) = (limit, givenUpLimit, name, threads)
    }

    private func withState<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    // MARK: Calling

    /// Calls `body` on an OS thread of the pool, waits, and returns its value or throws its error.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.deadlinePassed` where `body` has not returned by `deadline`, and `WaitError` when the caller is killed or an enclosing time limit
    /// is over.  The call is given up then: if `body` has not begun it never will, else it runs on and its result is dropped.
    /// Throws `OffloadError.shutDown` where the pool was shut down, and `SystemError` where no OS thread can be started.  The type is `any Error`, for `body` can
    /// throw any type.  Without a deadline or time limit, a call made by a body of this pool runs at once, on the same OS thread.  One with a deadline, or made by a green thread that
    /// such a body has spawned, has an OS thread of its own, and does not count against `limit`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func run<Value: Sendable>(
        until deadline: Deadline = .never, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        try run(waitingFor: .remote, until: deadline, body)
    }

    func run<Value: Sendable>(
        waitingFor kind: WaitKind, until deadline: Deadline, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let isInside = runsCaller
        if isInside, isOnOwnStack, min(deadline, Context.running?.scopeDeadline ?? .never) == .never {
            return try body()
        }
        let call = OffloadedCall(self, isObserved: true, body)
        try add(call)
        if isInside { beginWaitInside() }
        defer {
            if isInside { endWaitInside() }
            if !call.hasEnded { giveUp(call) }
        }
        guard try call.outcome.wait(for: kind, until: deadline) else { throw WaitError.deadlinePassed }
        return try call.outcome.result!.get()
    }

    /// Has an OS thread of the pool call `body`, and returns at once.  Callable from any OS thread, in async code too; never waits.
    ///
    ///     let call = try pool.submit { try decode(path) }
    ///     let image = try call.value(until: .after(.seconds(2)))
    ///
    /// The call goes on where the handle is dropped.  If it then ends with an error, and no code has asked for its end, the error is reported once: to
    /// `Hub.onUnobservedFailure` of the hub that submitted it, else on standard error.  `name` is for that report.
    /// Throws `OffloadError.shutDown` where the pool was shut down.  Where no OS thread can be started, the call ends with a `SystemError`.
    @discardableResult
    public func submit<Value: Sendable>(
        name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable () throws -> Value
    ) throws(OffloadError) -> OffloadedCall<Value> {
        let call = OffloadedCall(self, name, SpawnSite(fileID: fileID, line: line), body)
        try add(call)
        return call
    }

    /// As the other `submit`; a call that has not ended by `deadline` ends with `WaitError.deadlinePassed` then.
    ///
    /// If `body` has not begun it never will, else it runs on, given up, and its result is dropped.  A green thread of the caller's hub watches the deadline, until
    /// the call ends or the hub closes.  Callable from a green thread of any hub; never waits.
    @available(*, noasync, message: "it spawns a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func submit<Value: Sendable>(
        name: String? = nil, until deadline: Deadline, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable () throws -> Value
    ) throws(OffloadError) -> OffloadedCall<Value> {
        let call = try submit(name: name, fileID: fileID, line: line, body)
        if deadline == .never { return call }
        spawn(name: "deadline of \(call.title)", inheriting: false) {
            if try !call.outcome.wait(until: deadline) { self.giveUp(call, WaitError.deadlinePassed) }
        }
        return call
    }

    /// Counts of one moment.
    public struct Statistics: Hashable, Sendable {
        /// Calls that wait for their turn.
        public let queued: Int
        /// Calls that run, with those that were given up.
        public let running: Int
        /// OS threads that run calls, or are about to.  Idle OS threads belong to all pools, and are not counted.
        public let threads: Int
        /// Calls that run on after they were given up.
        public let givenUp: Int
        /// Calls that have returned or thrown, since the pool was made.
        public let done: Int
        /// Calls that ended before they began, since the pool was made: they were withdrawn, given up, or dropped.
        public let withdrawn: Int
    }

    /// How many calls and OS threads the pool has now.  A call counts as running until its OS thread is free again, a moment after its result is there.
    /// Callable from any OS thread.
    public var statistics: Statistics {
        withState { state in
            Statistics(
                queued: state.queued, running: state.running, threads: state.threads, givenUp: state.givenUp,
                done: state.done, withdrawn: state.withdrawn)
        }
    }

    /// Whether calls that were given up occupy every OS thread that the pool may have: a new call would wait until one of them returns.
    var hangs: Bool { withState { $0.givenUp >= limit.plus(givenUpLimit) } }

    /// How many calls wait for their turn.
    var queued: Int { withState { $0.queued } }

    /// For tests: with calls that have left the line.
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

    // MARK: Jobs

    func add(_ job: any OffloadJob) throws(OffloadError) {
        let needsThread: Bool? = withState { state in
            if state.isShutDown { return nil }
            state.queue.append(job)
            state.untold += 1
            return reserveThread(in: &state)
        }
        guard let needsThread else { throw .shutDown }
        if needsThread { startThread() }
    }

    /// Takes `job` back and ends it with `error`, unless it has begun; returns whether it did.
    @discardableResult
    func withdraw(_ job: any OffloadJob, _ error: any Error = OffloadError.withdrawn) -> Bool {
        let isWithdrawn = withState { state in
            guard job.stage == .queued else { return false }
            leaveLine(job, for: .ended, in: &state)
            return true
        }
        if isWithdrawn { refuse([job], error) }
        return isWithdrawn
    }

    /// Nothing waits for `job` any more, which ends with `error` if it has not begun.
    func giveUp(_ job: any OffloadJob, _ error: any Error = OffloadError.withdrawn) {
        if withdraw(job, error) { return }
        let needsThread = withState { state in
            guard job.stage == .running else { return false }
            job.stage = .givenUp
            state.givenUp += 1
            return reserveThread(in: &state)
        }
        if needsThread { startThread() }
        job.fail(error)
    }

    private func leaveLine(_ job: any OffloadJob, for stage: OffloadStage, in state: inout State) {
        job.stage = stage
        state.left += 1
        // Otherwise withdrawn calls behind calls that hang would take more and more memory.
        guard state.left * 2 > state.queue.count else { return }
        for _ in 0..<state.queue.count {
            let job = state.queue.removeFirst()
            if job.stage == .queued { state.queue.append(job) }
        }
        state.left = 0
    }

    /// Ends `jobs`, which have left the line.  Outside the lock: the deinit of an object that one of them holds may call the pool.
    private func refuse(_ jobs: [any OffloadJob], _ error: any Error) {
        if jobs.isEmpty { return }
        for job in jobs {
            job.drop()
            job.fail(error)
        }
        let waiters = withState { state in
            state.withdrawn += jobs.count
            state.untold -= jobs.count
            return takeIdleWaiters(from: &state)
        }
        for waiter in waiters { waiter.wake() }
    }

    private func takeAllQueued(from state: inout State) -> [any OffloadJob] {
        var jobs: [any OffloadJob] = []
        while let job = state.queue.popFirst() {
            guard job.stage == .queued else { continue }
            job.stage = .ended
            jobs.append(job)
        }
        state.left = 0
        return jobs
    }

    // MARK: Calls that use their own pool

    /// Whether the caller runs on an OS thread of this pool.
    var runsCaller: Bool {
        let own = pthread_self()
        return withState { $0.workers[own] != nil }
    }

    /// Whether the caller runs on its OS thread's own stack, and not on that of a green thread.
    private var isOnOwnStack: Bool { Context.running.map { $0 == $0.scheduler.main } ?? true }

    /// Makes the call `job` here and now, if the caller is a call of the same pool and `job` has not begun.  On the OS thread's own stack only: that of a green thread
    /// may be too small.
    func performIfInside(_ job: any OffloadJob) {
        guard isOnOwnStack else { return }
        let own = pthread_self()
        let begins = withState { state in
            guard state.workers[own] != nil, job.stage == .queued else { return false }
            leaveLine(job, for: .running, in: &state)
            state.running += 1
            return true
        }
        guard begins else { return }
        job.perform()
        let waiters = withState { state in
            end(job, in: &state)
            return takeIdleWaiters(from: &state)
        }
        for waiter in waiters { waiter.wake() }
    }

    /// The caller is about to wait for a call of this pool.  Returns whether it is a call of this pool itself: it does not count against `limit` until
    /// `endWaitInside`.
    @discardableResult
    func beginWaitInside() -> Bool {
        let own = pthread_self()
        let needsThread: Bool? = withState { state in
            guard let waits = state.workers[own] else { return nil }
            state.workers[own] = waits + 1
            if waits > 0 { return false }
            state.waitingWorkers += 1
            return reserveThread(in: &state)
        }
        if needsThread == true { startThread() }
        return needsThread != nil
    }

    /// On the same OS thread.
    func endWaitInside() {
        let own = pthread_self()
        withState { state in
            let waits = state.workers[own]! - 1
            state.workers[own] = waits
            if waits == 0 { state.waitingWorkers -= 1 }
        }
    }

    // MARK: The end

    /// Accepts no call any more, and, with `dropsQueued`, ends those that have not begun.
    func refuseCalls(dropsQueued: Bool) {
        let dropped: [any OffloadJob] = withState { state in
            state.isShutDown = true
            return dropsQueued ? takeAllQueued(from: &state) : []
        }
        refuse(dropped, OffloadError.shutDown)
    }

    /// Waits until every call has ended, and with `followers` every `onEnd` body too, or until `deadline`.  Returns whether they have.
    func waitUntilIdle(followers: Bool, until deadline: Deadline = .never) throws(WaitError) -> Bool {
        let waiter = RemoteWaiter(.greenThread)
        defer {
            waiter.end()
            withState { $0.idleWaiters.removeAll { $0 === waiter } }
        }
        while !isIdle(followers: followers, orTell: waiter) {
            guard let error = waiter.park(until: deadline) else { continue }
            if error == .deadlinePassed { return isIdle(followers: followers) }
            throw error
        }
        return true
    }

    private func isIdle(followers: Bool, orTell waiter: RemoteWaiter? = nil) -> Bool {
        withState { state in
            if state.untold == 0, !followers || state.followers == 0 { return true }
            if let waiter { state.idleWaiters.append(waiter) }
            return false
        }
    }

    private func takeIdleWaiters(from state: inout State) -> [RemoteWaiter] {
        guard state.untold == 0, !state.idleWaiters.isEmpty else { return [] }
        defer { state.idleWaiters = [] }
        return state.idleWaiters
    }

    func followerBegins() { withState { $0.followers += 1 } }

    func followerEnds() {
        let waiters = withState { state in
            state.followers -= 1
            return state.followers == 0 ? takeIdleWaiters(from: &state) : []
        }
        for waiter in waiters { waiter.wake() }
    }

    // MARK: OS threads

    private func capacity(_ state: borrowing State) -> Int {
        limit.plus(min(state.givenUp, givenUpLimit)).plus(state.waitingWorkers)
    }

    /// Counts one more OS thread, if a call waits for it and the pool may have one more.
    private func reserveThread(in state: inout State) -> Bool {
        guard state.queued > 0, state.threads < capacity(state) else { return false }
        state.threads += 1
        return true
    }

    private func startThread() {
        do throws(SystemError) { try threads.run(named: name) { self.work() } } catch { threadFailed(error) }
    }

    /// Other callers may have failed at the same time: the last one ends all calls that would wait for an OS thread in vain.
    private func threadFailed(_ error: SystemError) {
        let stranded: [any OffloadJob] = withState { state in
            state.threads -= 1
            // An OS thread whose call was given up may never be free again, and one whose call waits for another call here would be the next to wait in vain.
            return state.threads > state.givenUp + state.waitingWorkers ? [] : takeAllQueued(from: &state)
        }
        refuse(stranded, error)
    }

    /// On an OS thread, until no call is left for it.
    private func work() {
        let own = pthread_self()
        var last: (any OffloadJob)?
        while let job = nextCall(after: last, on: own) {
            job.perform()
            // The hub that the call has made.
            if Context.running != nil { Hub.current.close() }
            last = job
        }
    }

    private func nextCall(after last: (any OffloadJob)?, on own: pthread_t) -> (any OffloadJob)? {
        let (next, waiters): ((any OffloadJob)?, [RemoteWaiter]) = withState { state in
            if let last { end(last, in: &state) } else { state.workers[own] = 0 }
            let next = state.threads <= capacity(state) ? firstCall(in: &state) : nil
            if next == nil {
                state.workers[own] = nil
                state.threads -= 1
            }
            return (next, takeIdleWaiters(from: &state))
        }
        for waiter in waiters { waiter.wake() }
        return next
    }

    private func end(_ job: any OffloadJob, in state: inout State) {
        if job.stage == .givenUp { state.givenUp -= 1 }
        job.stage = .ended
        state.running -= 1
        state.done += 1
        state.untold -= 1
    }

    private func firstCall(in state: inout State) -> (any OffloadJob)? {
        while let job = state.queue.popFirst() {
            if job.stage == .queued {
                job.stage = .running
                state.running += 1
                return job
            }
            state.left -= 1
        }
        return nil
    }
}

extension Int {
    /// At most `Int.max`: a limit of that is none.
    fileprivate func plus(_ other: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? .max : sum
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
