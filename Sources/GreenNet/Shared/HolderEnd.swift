/// How the one that held a `SharedLock` before has ended that.
public enum HolderEnd: Hashable, Sendable {
    /// It has released the lock, or there was none before.
    case released
    /// Its process, with this number, has ended inside: what the lock guards may be half done.
    case died(Int32)
}
