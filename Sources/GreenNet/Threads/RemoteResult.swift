import Synchronization

/// A value or an error that any OS thread sets, and that the green threads of any hub and tasks wait for.
///
/// It is set once: the first `set` or `fail` counts, and a later one changes nothing.
public final class RemoteResult<Value: Sendable>: Sendable, Waitable {
    struct State: ~Copyable {
        var outcome = Outcome<Value>()
        var waiters: [RemoteWaiter] = []
        var watchers = RemoteWatchers()
    }

    private let state = Mutex(State())

    /// A result that is not set.
    public init() {}

    func withState<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// The value or the error; nil while it is not set.  Callable from any OS thread.
    public var result: Result<Value, any Error>? { withState { $0.outcome.result } }

    /// Whether the value or the error is set.  Callable from any OS thread.
    public var isSet: Bool { withState { $0.outcome.isThere } }

    /// Sets the value.  Returns false, and changes nothing, if the result was set before.  Callable from any OS thread; never waits.
    @discardableResult
    public func set(_ value: Value) -> Bool { give(.success(value)) }

    /// Sets the error, which every `value(until:)` then throws.  Returns false, and changes nothing, if the result was set before.  Callable from any
    /// OS thread; never waits.
    @discardableResult
    public func fail(_ error: any Error) -> Bool { give(.failure(error)) }

    /// Sets the value or the error of `result`.  Returns false, and changes nothing, if the result was set before.  Callable from any OS thread; never
    /// waits.
    @discardableResult
    public func give(_ result: Result<Value, any Error>) -> Bool {
        let told: ([RemoteWaiter], [RemoteWatcher])? = withState { state in
            if state.outcome.isThere { return nil }
            defer { state.waiters = [] }
            state.outcome.set(result)
            return (state.waiters, state.watchers.take(if: true))
        }
        guard let (waiters, watchers) = told else { return false }
        // Outside the lock: it takes the lock of their hub.
        for waiter in waiters { waiter.wake() }
        for watcher in watchers { watcher.ring() }
        return true
    }

    /// Waits until the result is set, or until `deadline`.  Returns whether it is set, and does not throw the error that was set.
    ///
    /// Callable from a green thread of any hub.  Throws when the caller is killed or an enclosing time limit is over, unless the result was set before.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        try wait(for: .remote, until: deadline)
    }

    func wait(for kind: WaitKind, until deadline: Deadline) throws(WaitError) -> Bool {
        if isSet { return true }
        let waiter = RemoteWaiter(.greenThread)
        _ = add(waiter)
        defer {
            waiter.end()
            remove(waiter)
        }
        while !isSet {
            guard let error = waiter.park(for: kind, until: deadline), !isSet else { continue }
            if error == .deadlinePassed { return false }
            throw error
        }
        return true
    }

    /// `waiter` is woken once, when the result is set.  Returns false, and does nothing, if it was set before.
    func add(_ waiter: RemoteWaiter) -> Bool {
        withState { state in
            if state.outcome.isThere { return false }
            state.waiters.append(waiter)
            return true
        }
    }

    func remove(_ waiter: RemoteWaiter) { withState { $0.waiters.removeAll { $0 === waiter } } }

    /// Waits until the result is set, and returns the value or throws the error.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.deadlinePassed` where the result is not set by `deadline`, and `WaitError` when the caller is killed or an enclosing time
    /// limit is over.  The type is `any Error`, for the error that was set can be of any type.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try wait(until: deadline) else { throw WaitError.deadlinePassed }
        return try withState { $0.outcome.known }.get()
    }
}

extension RemoteResult: RemoteSource {
    /// Ready once the value or the error is set.
    public var waitSource: WaitSource { remoteWaitSource }

    var isReady: Bool { isSet }
    var failure: (any Error)? { withState { $0.outcome.error } }

    func add(_ watcher: RemoteWatcher) {
        let isSet = withState { state in
            if !state.outcome.isThere { state.watchers.add(watcher) }
            return state.outcome.isThere
        }
        if isSet { watcher.ring() }
    }

    func remove(_ watcher: RemoteWatcher) { withState { $0.watchers.remove(watcher) } }
}

extension RemoteHub {
    /// Runs `body` on a new green thread of the hub, soon.  Returns at once; the result is set when `body` has ended.  Callable from any OS thread; never
    /// waits.
    ///
    /// The result is `SpawnError` where the hub has no stack for the green thread.  Where the hub closes first, it is `WaitError.closed` if `body` has
    /// not begun, and else what `body` throws when it is killed.
    public func result<Value: Sendable>(
        name: String? = nil, of body: @escaping @Sendable () throws -> Value
    ) -> RemoteResult<Value> {
        let promise = RemotePromise<Value>()
        let result = promise.result
        let run: @Sendable () throws -> Void = {
            let outcome = Result { try body() }
            promise.result.give(outcome)
            if case .failure(let error as WaitError) = outcome { throw error }
        }
        _ = spawn(name: name, run) { [weak promise] greenlet in
            guard let error = greenlet.failure else { return }
            greenlet.isObserved = true
            promise?.result.fail(error)
        }
        return result
    }
}

/// Held by the code that will set the result: if that is released without doing so, the result is `WaitError.closed`.
private final class RemotePromise<Value: Sendable>: Sendable {
    let result = RemoteResult<Value>()

    deinit { result.fail(WaitError.closed) }
}
