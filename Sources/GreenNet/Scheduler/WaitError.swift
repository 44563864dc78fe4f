/// Why a wait ended before the thing it waited for came.
public enum WaitError: Error, Hashable, Sendable {
    /// The deadline given to the call itself has passed.
    case deadlinePassed
    /// The time of an enclosing `withTimeout` is over.  Every further wait inside that `withTimeout` throws this too, and the
    /// `withTimeout` itself throws `TimedOut`.
    ///
    /// This case, `blockedForever` and `deadlock` are indirect, so that an error is one word: it has its place in the frame of every call that can throw it,
    /// and a server with many clients reads the frames of parked green threads from memory all the time.
    indirect case timedOut(TimeLimit)
    /// The green thread was killed: every further wait throws this too, until the body has ended.  Or the call is inside a
    /// `withGreenGroup` of which a member has failed: every further wait throws this until that `withGreenGroup` has ended.
    case cancelled
    /// The queue, the channel, the connection or the hub that the call waited on was closed.
    case closed
    /// No event was left that could have woken any green thread of the hub.  Thrown in the OS thread's main green thread.
    indirect case blockedForever(BlockedForever)
    /// The connection is to rest: only inside `Connection.restingWhenIdle`, whose body lets this through.
    case resting
    /// Waiting for the lock would have closed a cycle of green threads that wait for each other's locks for ever.
    indirect case deadlock(LockCycle)
}

extension WaitError: CustomStringConvertible {
    /// In words, as in `timed out after 1 s`; of the last two cases, with the green threads that wait.
    public var description: String {
        switch self {
        case .deadlinePassed: "deadline passed"
        case .timedOut(let limit): "timed out after \(limit.duration.text)"
        case .cancelled: "cancelled"
        case .closed: "closed"
        case .resting: "resting"
        case .blockedForever(let blocked): "\(blocked)"
        case .deadlock(let cycle): "\(cycle)"
        }
    }
}

/// Every green thread of the hub waits, and no timer, descriptor or signal is left that could wake one.
public struct BlockedForever: Error, Hashable, Sendable, CustomStringConvertible {
    /// What each green thread waits for, a line for each.
    public let waiting: String

    /// The list, under a line that says what it is.
    public var description: String { "blocked forever: nothing is left that could wake any of these:\n\(waiting)" }
}

/// What a killed green thread ends with, unless `kill(throwing:)` was given something else.  It is never reported as a failure.
public struct GreenletExit: Error, Hashable, Sendable {
    /// The error that `kill()` throws by default.
    public init() {}
}

/// An error that carries a `WaitError`, so that the code that ended the wait recognises it under the name of another layer.
package protocol WaitEnding: WaitOutcome {
    var waitError: WaitError? { get }
}

extension WaitError: WaitEnding {
    package var waitError: WaitError? { self }
}
