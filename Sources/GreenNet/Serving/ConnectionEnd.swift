import Glibc

/// How a connection ended, for the counters.
package enum ConnectionEnd: UInt8, CaseIterable, Sendable {
    /// Both sides had nothing left to say.
    case done
    /// The client reset the connection, or the network lost it.
    case peerGone = 1
    /// The client sent nothing for too long.
    case idle = 2
    /// The client did not read for too long.
    case slow = 3
    /// The server ended it.
    case cancelled = 4
    /// Anything else.
    case failed = 5
    /// Its process died.
    case crashed = 6

    package init(_ error: any Error) {
        guard let error = error as? NetError else {
            self = .failed
            return
        }
        switch (error.waitError, error.call) {
        case (.deadlinePassed, .recv): self = .idle
        case (.deadlinePassed, _): self = .slow
        case (_?, _): self = .cancelled
        case (nil, _): self = error.isPeerGone ? .peerGone : .failed
        }
    }
}
