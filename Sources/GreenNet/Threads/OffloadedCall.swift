import Synchronization

/// A call that `OffloadPool.submit` has handed to an OS thread.
///
///     let call = try pool.submit { try decode(path) }
///     call.onEnd { result in print(result) }
///     let image = try call.value(until: .after(.seconds(2)))
///
/// Any number of green threads of any hub may wait for it, also with `waitAny`, `iterateReady` and `joinAll`.
public final class OffloadedCall<Value: Sendable>: @unchecked Sendable {
    // `stage` is guarded by the pool's mutex; `body` belongs to the code that has moved `stage` from `queued` to another one.

    var stage = OffloadStage.queued
    private var body: (@Sendable () throws -> Value)?
    private let pool: OffloadPool
    let outcome = RemoteResult<Value>()
    /// The name that was given to `submit`.
    public let name: String?
    private let site: SpawnSite?
    /// The hub that hears of an error for which no code has asked.
    private let home: (@Sendable () -> RemoteHub?)?
    /// Code has asked how it ended, or will be told: its failure is not reported then.
    private let isObserved: Atomic<Bool>

    init(_ pool: OffloadPool, _ name: String?, _ site: SpawnSite, _ body: @escaping @Sendable () throws -> Value) {
        (self.pool, self.name, self.site) = (pool, name, site)
        self.body = withTaskLocalsOfCaller(body)
        home = Context.running?.scheduler.hub.remote.weakly()
        isObserved = Atomic(false)
    }

    /// For a caller that waits for it at once.
    init(_ pool: OffloadPool, isObserved: Bool, _ body: @escaping @Sendable () throws -> Value) {
        (self.pool, name, site, home) = (pool, nil, nil, nil)
        self.body = withTaskLocalsOfCaller(body)
        self.isObserved = Atomic(isObserved)
    }

    deinit { if !isObserved.load(ordering: .relaxed) { reportFailure() } }

    private func observe() { isObserved.store(true, ordering: .relaxed) }

    var title: String { name.map { "offloaded call (\($0))" } ?? "offloaded call" }

    // MARK: Its end

    /// Whether its body has returned or thrown, or will never begin.  Callable from any OS thread.
    public var hasEnded: Bool { outcome.isSet }

    /// What its body returned or threw; nil until it has ended.  An error then counts as observed, and is not reported.  Callable from any OS thread.
    public var result: Result<Value, any Error>? {
        let result = outcome.result
        if result != nil { observe() }
        return result
    }

    /// Waits until it has ended, or until `deadline`.  Returns whether it has ended, and never throws what its body threw.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.  An early end of the wait leaves the call running.  Callable from a green thread of any
    /// hub; in a call of the same pool, it makes this call at once, on the same OS thread, if it has not begun and `deadline` is `.never`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if outcome.isSet { return true }
        if deadline == .never { pool.performIfInside(self) }
        let isInside = pool.beginWaitInside()
        defer { if isInside { pool.endWaitInside() } }
        return try outcome.wait(until: deadline)
    }

    /// Waits until it has ended, and returns what its body returned or throws what its body threw.
    ///
    /// Throws `WaitError.deadlinePassed` where it has not ended by `deadline`, and `WaitError` when the caller is killed or an enclosing time limit is over; an
    /// early end of the wait leaves the call running.  Throws `OffloadError` where the call was withdrawn, or dropped by `OffloadPool.shutDown`, before it began.
    /// The type is `any Error`, for a body can throw any type.  Callable from where `join` is.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try join(until: deadline) else { throw WaitError.deadlinePassed }
        observe()
        return try outcome.result!.get()
    }

    /// Takes the call back if it has not begun; returns whether it did.  It ends with `OffloadError.withdrawn` then, which is not reported.
    ///
    /// Returns false, and changes nothing, where the call has begun or ended.  Callable from any OS thread; never waits.
    @discardableResult
    public func withdraw() -> Bool { pool.withdraw(self) }

    /// Calls `body` with the value or the error once the call has ended; soon, if it has ended already.  An error then counts as observed.  Never waits.
    ///
    /// `body` is called once, on a green thread of its own on the hub that calls `onEnd`, so that it may wait and use the hub's objects; the task-locals that are
    /// bound where `onEnd` is called are bound in it.  Those that one hub registers begin in that order.  An error of `body` is reported as that of any green
    /// thread.  Where the hub closes first, `body` is never called.  `withOffloadPool` waits for the end of `body`; `Hub.run` does not wait for its beginning.
    /// Callable from a green thread of any hub.
    public func onEnd(_ body: @escaping (Result<Value, any Error>) throws -> Void) {
        observe()
        let (title, locals) = ("end of \(title)", Hub.currentThread.scheduler.captureTaskLocals())
        let count = FollowerCount(pool)
        let follower = RemoteFollower { [outcome] in
            let begin = {
                _ = spawn(name: title) { try withExtendedLifetime(count) { try body(outcome.result!) } }
            }
            if let locals { locals.bound(begin) } else { begin() }
        }
        if !outcome.add(follower) { follower.wake() }
    }

    private func reportFailure() {
        guard case .failure(let error) = outcome.result, !(error is OffloadError) else { return }
        nonisolated(unsafe) let failure = UnobservedFailure(name: title, error: error, spawnSite: site)
        let report: @Sendable () -> Void = { Hub.report(failure) }
        if home?()?.call(report, orIfClosed: report) != true { report() }
    }
}

extension OffloadedCall: Waitable {
    /// Ready once the call has ended.
    public var waitSource: WaitSource {
        WaitSource(RemoteReadiness(of: outcome, in: pool) { self.observe() })
    }
}

extension OffloadedCall: OffloadJob {
    func perform() { outcome.give(makeCall()) }

    /// Apart, so that `body` is released before others hear of the end.
    private func makeCall() -> Result<Value, any Error> {
        let body = body!
        self.body = nil
        return Result { try body() }
    }

    func drop() { body = nil }

    func fail(_ error: any Error) { outcome.fail(error) }
}

/// Held by the code that waits to run an `onEnd` body, and by the green thread that runs it.
private final class FollowerCount: Sendable {
    private let pool: OffloadPool

    init(_ pool: OffloadPool) {
        self.pool = pool
        pool.followerBegins()
    }

    deinit { pool.followerEnds() }
}
