/// An error that can be the end of a wait, and says which.
package protocol WaitOutcome: Error {
    var isTimeout: Bool { get }
    var isCancellation: Bool { get }
    var isClosed: Bool { get }
}

extension Error {
    /// Whether time ran out: the deadline of a call, or an enclosing `withTimeout`.
    ///
    /// For a `catch` block that does not name the type: true for `WaitError.deadlinePassed`, `WaitError.timedOut`, `TimedOut`, and
    /// any other error of GreenNet that carries one of these.  False for the errors of other libraries, and for ETIMEDOUT: the kernel has given the peer up then.
    public var isTimeout: Bool { (self as? any WaitOutcome)?.isTimeout ?? false }

    /// Whether the green thread was killed, or is inside a `withGreenGroup` of which a member has failed.
    ///
    /// True for `WaitError.cancelled`, `GreenletExit`, and any other error of GreenNet that carries one of these.  False for an error of the program's own
    /// that was given to `kill(throwing:)`.
    public var isCancellation: Bool { (self as? any WaitOutcome)?.isCancellation ?? false }

    /// Whether the object that the call waited on was closed by this side: `WaitError.closed`, and any other error of GreenNet that carries it.
    public var isClosed: Bool { (self as? any WaitOutcome)?.isClosed ?? false }
}

extension WaitError: WaitOutcome {
    /// Whether time ran out: `deadlinePassed`, or `timedOut`.
    public var isTimeout: Bool {
        switch self {
        case .deadlinePassed, .timedOut: true
        case .cancelled, .closed, .blockedForever, .resting, .deadlock: false
        }
    }

    /// Whether the green thread was killed, or a member of its group has failed.
    public var isCancellation: Bool { self == .cancelled }

    /// Whether the object that the call waited on was closed.
    public var isClosed: Bool { self == .closed }
}

extension WaitEnding {
    package var isTimeout: Bool { waitError?.isTimeout ?? false }
    package var isCancellation: Bool { waitError?.isCancellation ?? false }
    package var isClosed: Bool { waitError?.isClosed ?? false }
}

extension GreenletExit: WaitOutcome {
    /// False.
    public var isTimeout: Bool { false }
    /// True: the green thread was killed.
    public var isCancellation: Bool { true }
    /// False.
    public var isClosed: Bool { false }
}
