/// Why a call of an `OffloadPool` was never begun.
public enum OffloadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The pool was shut down: it accepts no further calls, and has dropped those that had not begun if it was told to.
    case shutDown
    /// `OffloadedCall.withdraw()` took the call back before it began.
    case withdrawn

    /// As in `the pool of OS threads was shut down`.
    public var description: String {
        switch self {
        case .shutDown: "the pool of OS threads was shut down"
        case .withdrawn: "the call was withdrawn before it began"
        }
    }
}

extension OffloadError: WaitOutcome {
    /// False.
    public var isTimeout: Bool { false }
    /// True for `withdrawn`.
    public var isCancellation: Bool { self == .withdrawn }
    /// True for `shutDown`.
    public var isClosed: Bool { self == .shutDown }
}
