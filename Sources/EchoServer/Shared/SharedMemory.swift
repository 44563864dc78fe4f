import Glibc
import Synchronization

/// Memory that a forked child shares with its parent.
enum SharedMemory {
    /// Zeroed, and never freed: it lives as long as the service.  A page of it is used from when it is touched.
    static func allocate<T: ~Copyable>(
        _ count: Int, of type: T.Type
    ) throws(StartFailure) -> UnsafeMutablePointer<T> {
        let bytes = count * MemoryLayout<T>.stride
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            throw StartFailure(
                .system, "no memory: \(bytes) bytes are too many to keep the service's counts and limits in")
        }
        return memory.bindMemory(to: T.self, capacity: count)
    }
}
