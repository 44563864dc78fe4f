import Glibc

/// How a connection ended, for the counters.
///
/// The raw values are more than names: a process that serves one connection exits with them, and programs count endings at offsets by them.  So they begin
/// at 0 and have no gaps.
public enum ConnectionEnd: UInt8, CaseIterable, Sendable {
    /// The handler returned.
    case done = 0
    /// The client reset the connection, or the network lost it.
    case peerGone = 1
    /// The client sent nothing for too long.
    case idle = 2
    /// The client did not read for too long.
    case slow = 3
    /// The server has ended it.
    case cancelled = 4
    /// The handler threw another error.
    case failed = 5
    /// The process that served it has died.
    case crashed = 6

    /// What an error of a handler means.
    public init(_ error: any Error) {
        guard let error = error as? any ConnectionFailure else {
            self = .failed
            return
        }
        switch (error.netError?.waitError, error.netError?.call) {
        case (.deadlinePassed, .recv): self = .idle
        case (.deadlinePassed, _): self = .slow
        case (_?, _): self = .cancelled
        case (nil, _): self = error.isPeerGone ? .peerGone : .failed
        }
    }
}
