import Glibc
import GreenNet
import Synchronization

/// Memory that a forked child shares with its parent.
enum SharedMemory {
    /// Zeroed memory that is never freed.  Each of its pages takes memory from the first access on.
    static func allocate<T: ~Copyable>(
        _ count: Int, of type: T.Type
    ) throws(StartFailure) -> UnsafeMutablePointer<T> {
        let bytes = count * MemoryLayout<T>.stride
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            let error = SystemError(errno)
            throw StartFailure(
                .system, "cannot allocate \(bytes) bytes of shared memory for counters and limits: \(error)")
        }
        return memory.bindMemory(to: T.self, capacity: count)
    }
}
