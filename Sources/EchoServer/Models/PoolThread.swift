import Synchronization

/// One OS thread of a pool.
final class PoolThread: @unchecked Sendable {
    // Unchecked: `listener` is its own OS thread's alone.
    /// From which it has accepted last.
    var listener: LentListener?
    private let served = Mutex<ThreadConnection?>(nil)

    /// The client that it has accepted and serves; nil where there is none.  The hub may shut it down.
    var connection: ThreadConnection? {
        get { served.withLock { $0 } }
        set { served.withLock { $0 = newValue } }
    }
}
