/// Why a wait ended without what it waited for.
public enum WaitError: Error, Hashable, Sendable {
    /// The deadline given to the call itself has passed.
    case deadlinePassed
    /// The time given to an enclosing `withTimeout` is over.  It goes on being thrown by every wait inside, and comes out of that
    /// `withTimeout` as `TimedOut`.
    ///
    /// Its case and the last one are indirect, so that an error is one word: it has its place in the frame of every call that can throw it,
    /// and the frames of parked green threads are what a server with many clients reads from memory all the time.
    indirect case timedOut(TimeLimit)
    /// The green thread was killed.  Every further wait throws this too, until the body has ended.  Or it is inside a `withGreenGroup` of which
    /// a member has failed; then every further wait throws this until that has ended.
    case cancelled
    /// What was waited on was closed meanwhile.
    case closed
    /// Nothing was left that could have woken anybody.  Thrown in the OS thread's main green thread.
    indirect case blockedForever(BlockedForever)
    /// Waiting for the lock would have closed a ring of green threads that wait for each other's locks for ever.
    indirect case deadlock(LockCycle)
}

/// Every green thread of the hub waits, and nothing that any of them waits for can come: no timer, no descriptor, no signal.
public struct BlockedForever: Error, Hashable, Sendable, CustomStringConvertible {
    /// Who waits on what, a line for each green thread.
    public let waiting: String

    /// The list, under a line that says what it is.
    public var description: String { "blocked forever: nothing is left that could wake any of these:\n\(waiting)" }
}

/// What a killed green thread ends with, unless `kill(throwing:)` was given something else.  It is never reported as a failure.
public struct GreenletExit: Error, Hashable, Sendable {
    /// The error that `kill()` throws by default.
    public init() {}
}

/// An error that stands for the end of a wait, so that whoever ended it recognises it under the name of another layer.
protocol WaitEnding: Error {
    var waitError: WaitError? { get }
}

extension WaitError: WaitEnding {
    var waitError: WaitError? { self }
}
