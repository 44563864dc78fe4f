/// What has happened in the accept loop, for the log and the counters.
public enum AcceptEvent {
    /// Out of descriptors or memory: nothing is accepted for a while.  Reported at most once a second.
    case paused(any Error)
    /// It accepts again, after a pause that was reported.
    case resumed
    /// One connection was lost before it was accepted.
    case skipped(NetError)
    /// One connection was accepted, and closed at once.
    case refused(SocketAddress, Refusal)
    /// The listener is of no more use; the loop has ended.
    case stopped(NetError)
    /// One of several hubs has ended, because a handler has called `stopServing` there; it is counted from 0.  Its connections were cancelled, and the other hubs
    /// serve on.
    case hubEnded(Int)
}

/// Why a connection was closed as soon as it was accepted.
public enum Refusal: Sendable {
    /// The server has as many connections as it may have.
    case full
    /// This peer has as many as it may have.
    case peerFull
    /// The system had no green thread, OS thread or process for it.
    case noContext(any Error)
}
