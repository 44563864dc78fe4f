import Synchronization

/// A value, or an error, that one OS thread gives and the green threads of any hub wait for.
///
/// It is given once: the first `set` or `fail` counts, and a later one changes nothing.
public final class RemoteResult<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var waiters: [RemoteWaiter] = []
    }

    private let state = Mutex(State())

    /// One that nothing was given to yet.
    public init() {}

    private func withState<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// What was given; nil before.  From any OS thread.
    public var result: Result<Value, any Error>? { withState { $0.result } }

    /// Whether something was given.  From any OS thread.
    public var isSet: Bool { result != nil }

    /// Gives `value` to all who wait and will wait.  Returns false where something was given before.  From any OS thread; never waits.
    @discardableResult
    public func set(_ value: Value) -> Bool { give(.success(value)) }

    /// Gives `error`: whoever asks for the value is thrown it.  Returns false where something was given before.  From any OS thread; never waits.
    @discardableResult
    public func fail(_ error: any Error) -> Bool { give(.failure(error)) }

    /// Gives what another wait has ended with.  Returns false where something was given before.  From any OS thread; never waits.
    @discardableResult
    public func give(_ result: Result<Value, any Error>) -> Bool {
        let waiters: [RemoteWaiter]? = withState { state in
            guard state.result == nil else { return nil }
            state.result = result
            return state.waiters
        }
        guard let waiters else { return false }
        // Outside the lock: it takes that of their hub.
        for waiter in waiters { waiter.wake() }
        return true
    }

    /// Waits until something was given, or until `deadline`.  Returns whether it was; doesn't throw the error that was given.
    /// From a green thread of any hub.  Throws when killed or when an enclosing time limit is over, unless something was given before.
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        try wait(for: .remote, until: deadline)
    }

    func wait(for kind: WaitKind, until deadline: Deadline) throws(WaitError) -> Bool {
        if isSet { return true }
        let waiter = RemoteWaiter()
        withState { $0.waiters.append(waiter) }
        defer {
            waiter.end()
            withState { $0.waiters.removeAll { $0 === waiter } }
        }
        while !isSet {
            guard let error = waiter.park(for: kind, until: deadline), !isSet else { continue }
            if error == .deadlinePassed { return false }
            throw error
        }
        return true
    }

    /// Waits until something was given, and returns the value or throws the error.  From a green thread of any hub.
    /// Throws `WaitError.deadlinePassed` where nothing was given by `deadline`, and when killed or when an enclosing time limit is over.
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try wait(until: deadline) else { throw WaitError.deadlinePassed }
        return try result!.get()
    }
}

extension RemoteHub {
    /// Runs `body` on a green thread of the hub, soon, and gives what it ends with.  Where the hub closes before, that is `WaitError.closed`, or what it
    /// was killed with.  From any OS thread; never waits.
    public func result<Value: Sendable>(
        name: String? = nil, of body: @escaping @Sendable () throws -> Value
    ) -> RemoteResult<Value> {
        let promise = RemotePromise<Value>()
        let result = promise.result
        spawn(name: name) {
            let outcome = Result { try body() }
            promise.result.give(outcome)
            if case .failure(let error as WaitError) = outcome { throw error }
        }
        return result
    }
}

/// Held by what will give the result; whatever becomes of that, something is given.
private final class RemotePromise<Value: Sendable>: Sendable {
    let result = RemoteResult<Value>()

    deinit { result.fail(WaitError.closed) }
}
