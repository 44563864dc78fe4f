import Glibc

/// A descriptor that is kept open in reserve: closed, it leaves room for a connection where the process or the system has no other descriptor
/// left.
final class SpareDescriptor {
    private var number: Int32 = -1

    init() { keep() }
    deinit { _ = give() }

    /// Opens one, unless it has one already.  Without a descriptor left, it stays without.
    func keep() {
        // A copy of a descriptor that is always open.
        if number < 0 { number = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) }
    }

    /// Closes it, so that another file can have its place.  Returns whether there was one.
    func give() -> Bool {
        guard number >= 0 else { return false }
        close(number)
        number = -1
        return true
    }
}
