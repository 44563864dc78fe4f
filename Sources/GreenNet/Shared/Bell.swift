internal import CLinux
import Glibc
import Synchronization

/// A socket by which other processes wake an OS thread.
///
/// The kernel has given it a name of 20 bits, which stands in shared memory while its owner waits.  It ends with its process, and a later ring fails.
/// A ring is no more than a hint to look at the shared memory again: one that comes late, twice or from another program does no harm.
struct Bell {
    let descriptor: Int32
    let number: UInt32

    /// Nil where the kernel has no descriptor left: the caller looks again every now and then instead.
    static func open() -> Bell? {
        var number: UInt32 = 0
        let descriptor = green_bell_open(&number)
        return descriptor < 0 ? nil : Bell(descriptor: descriptor, number: number)
    }

    func close() { SystemCalls.close(descriptor) }

    func drain() { green_bell_drain(descriptor) }

    /// In shared memory: no bell.
    static let none: UInt64 = 1 << 32

    /// What became of a ring.
    enum Ring {
        /// It is heard, or its owner looks again by itself.
        case made
        /// The bell is gone, with its process or its hub.
        case gone
        /// This process has no descriptor to ring with.
        case unsent
    }

    static func ring(_ number: UInt64) -> Ring {
        if number == none { return .made }
        switch -green_bell_ring(UInt32(truncatingIfNeeded: number)) {
        // Full: it is readable.
        case 0, EAGAIN: return .made
        case ECONNREFUSED: return .gone
        default: return .unsent
        }
    }

    /// Takes the descriptor to ring with while there is one.
    static func prepareToRing() { green_bell_prepare() }
}

/// The bells of OS threads without a hub, which are not in use.
enum IdleBells {
    private struct State: ~Copyable {
        var owner = ProcessIdentity(bits: 0)
        var bells: [Bell] = []
    }

    private static let state = Mutex(State())
    /// ThreadSanitizer does not see Swift's mutex, and needs an object in its place.
    private static let lock = Lock()
    private static let limit = 4

    private final class Lock: Sendable {}

    static func take() -> Bell? {
        let known: Bell? = state.withLock { state in
            Sanitizer.locked(lock) {
                // A forked child finds its parent's, which are closed there.
                if state.owner != .own { (state.owner, state.bells) = (.own, []) }
                return state.bells.popLast()
            }
        }
        return known ?? Bell.open()
    }

    static func giveBack(_ bell: Bell) {
        let isKept = state.withLock { state in
            Sanitizer.locked(lock) {
                guard state.bells.count < limit else { return false }
                state.bells.append(bell)
                return true
            }
        }
        if !isKept { bell.close() }
    }
}
