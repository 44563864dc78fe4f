/// A value or an error that one green thread sets and others wait for.
///
/// It is set once: the first `set` or `fail` counts, and a later one changes nothing.  For one OS thread: see <doc:WithAsyncCode>; `RemoteResult` connects
/// OS threads.
public final class GreenResult<Value>: Waitable {
    @exclusivity(unchecked)  // Nothing parks during such an access.
    var observers: [Observer] = []
    @exclusivity(unchecked)
    var owner = Owner()
    // Raw memory: green threads are in it while they wait.
    private let waiting = WaitQueue.make()

    @exclusivity(unchecked)  // as above
    private var outcome = Outcome<Value>()

    /// The value or the error; nil while it is not set.
    public var result: Result<Value, any Error>? { outcome.result }

    /// A result that is not set.
    public init() {}

    deinit { waiting.deallocate() }

    /// Whether the value or the error is set.
    public var isSet: Bool { outcome.isThere }

    /// Ready once the value or the error is set.
    public var waitSource: WaitSource { WaitSource(self) }

    /// Sets the value.  Returns false, and changes nothing, if the result was set before.  Never waits.
    @discardableResult
    public func set(_ value: Value) -> Bool { give(.success(value)) }

    /// Sets the error, which every `value(until:)` then throws.  Returns false, and changes nothing, if the result was set before.  Never waits.
    @discardableResult
    public func fail(_ error: any Error) -> Bool { give(.failure(error)) }

    /// Sets the value or the error of `result`.  Returns false, and changes nothing, if the result was set before.  Never waits.
    @discardableResult
    public func give(_ result: Result<Value, any Error>) -> Bool {
        checkOwner()
        if isSet { return false }
        outcome.set(result)
        waiting.wakeAll()
        announce()
        return true
    }

    /// Waits until the result is set, or until `deadline`.  Returns whether it is set, and does not throw the error that was set.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.  Callable from any green thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if isSet { return true }
        let thread = ownThread()
        switch thread.error(after: thread.wait(for: .result, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return isSet
        case let error?: throw error
        }
    }

    /// Waits until the result is set, and returns the value or throws the error.  Callable from any green thread.
    ///
    /// Throws `WaitError.deadlinePassed` where the result is not set by `deadline`, and `WaitError` when the caller is killed or an enclosing time
    /// limit is over.  The type is `any Error`, for the error that was set can be of any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try wait(until: deadline) else { throw WaitError.deadlinePassed }
        return try outcome.get()
    }
}

extension GreenResult: ReadinessSource {
    var isReady: Bool { isSet }

    var failure: (any Error)? { outcome.error }
}

@available(*, unavailable)
extension GreenResult: Sendable {}

extension Greenlet {
    /// Sets `result` to the value or the error that this green thread ends with, when it ends.  An error then counts as observed.  Never waits.
    public func link(to result: GreenResult<Value>) {
        checkOwner()
        isObserved = true
        if let outcome { result.give(outcome) } else { _ = observe { [unowned self] in result.give(outcome!) } }
    }
}
