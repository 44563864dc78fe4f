import Glibc
import GreenNet

/// A shared mapping that small allocations have together: each mapping costs each fork 2 us, and each page that is touched costs the child a fault.
struct SharedRoom: ~Copyable {
    static let bytes = 64 * 1024

    /// Two cache lines, since processors fetch lines in pairs: no two allocations share one.
    static let alignment = 128

    /// What is larger has a mapping of its own.
    static let mostTogether = bytes / 4

    private var next: UnsafeMutableRawPointer?
    private var left = 0
    private var owner: pid_t = 0

    /// Zeroed memory that is never freed.  A child does not go on in its parent's mapping, where its siblings would take the same place: `process` is the
    /// one that asks.
    mutating func take(_ bytes: Int, in process: pid_t) throws(SystemError) -> UnsafeMutableRawPointer {
        if bytes > SharedRoom.mostTogether { return try SharedRoom.map(bytes) }
        let whole = (bytes + SharedRoom.alignment - 1) / SharedRoom.alignment * SharedRoom.alignment
        guard let place = next, whole <= left, owner == process else {
            let memory = try SharedRoom.map(SharedRoom.bytes)
            (next, left, owner) = (memory + whole, SharedRoom.bytes - whole, process)
            return memory
        }
        (next, left) = (place + whole, left - whole)
        return place
    }

    private static func map(_ bytes: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
        return memory
    }
}
