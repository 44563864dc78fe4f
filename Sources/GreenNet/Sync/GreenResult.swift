/// A value, or an error, that one green thread gives and others wait for.
///
/// It is given once: the first `set` or `fail` counts, and a later one changes nothing.  Belongs to its OS thread; `RemoteResult` is the one for
/// several.
public final class GreenResult<Value>: Waitable {
    // Raw memory: green threads stand in it while they wait.
    private let waiting = WaitQueue.make()

    /// What was given; nil before.
    public private(set) var result: Result<Value, any Error>?

    /// One that nothing was given to yet.
    override public init() {}

    deinit { waiting.deallocate() }

    /// Whether something was given.
    public var isSet: Bool { result != nil }

    override var isReady: Bool { isSet }

    override var failure: (any Error)? {
        if case .failure(let error) = result { error } else { nil }
    }

    /// Gives `value` to all who wait and will wait.  Returns false where something was given before.  Never waits.
    @discardableResult
    public func set(_ value: Value) -> Bool { give(.success(value)) }

    /// Gives `error`: whoever asks for the value is thrown this very one.  Returns false where something was given before.  Never waits.
    @discardableResult
    public func fail(_ error: any Error) -> Bool { give(.failure(error)) }

    /// Gives what another wait has ended with.  Returns false where something was given before.  Never waits.
    @discardableResult
    public func give(_ result: Result<Value, any Error>) -> Bool {
        guard self.result == nil else { return false }
        self.result = result
        waiting.wakeAll()
        announce()
        return true
    }

    /// Waits until something was given, or until `deadline`.  Returns whether it was; doesn't throw the error that was given.
    /// Throws when killed or when an enclosing time limit is over.
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if isSet { return true }
        let thread = Hub.currentThread
        switch thread.error(after: thread.wait(for: .result, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return isSet
        case let error?: throw error
        }
    }

    /// Waits until something was given, and returns the value or throws the error.
    /// Throws `WaitError.deadlinePassed` where nothing was given by `deadline`, and when killed or when an enclosing time limit is over.
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try wait(until: deadline) else { throw WaitError.deadlinePassed }
        return try result!.get()
    }
}

extension Greenlet {
    /// Gives `result` what it ends with, as it ends.  An error counts as asked for.  Never waits.
    public func link(to result: GreenResult<Value>) {
        isObserved = true
        if let outcome { result.give(outcome) } else { _ = observe { [unowned self] in result.give(outcome!) } }
    }
}
