import Glibc

/// A descriptor that is kept open for nothing: closed, it leaves room for a connection where the process or the system has no other
/// descriptor left.
final class SpareDescriptor {
    private var number: Int32 = -1

    init() { keep() }
    deinit { _ = give() }

    /// Takes one, unless there is one already, or none to be had.
    func keep() {
        // A copy of one that is always open; what it leads to doesn't matter.
        if number < 0 { number = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) }
    }

    /// Returns whether there was one; the next descriptor that is opened has its place.
    func give() -> Bool {
        guard number >= 0 else { return false }
        close(number)
        number = -1
        return true
    }
}
