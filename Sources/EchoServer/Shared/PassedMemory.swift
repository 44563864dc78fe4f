import CForkServer
import Glibc
import GreenNet
import Synchronization

/// Shared memory that another program maps too, by a descriptor.
struct PassedMemory: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic.
    let cells: UnsafeMutablePointer<Atomic<Int>>
    /// Kept open: a fork server that is started later gets it too.
    let file: Int32

    /// Zeroed, and never freed.
    init(_ count: Int) throws(StartFailure) {
        let bytes = count * MemoryLayout<Atomic<Int>>.stride
        file = fork_make_memory(bytes)
        let memory = file < 0 ? nil : mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        guard let memory, memory != MAP_FAILED else {
            let error = SystemError(file < 0 ? -file : errno)
            throw StartFailure(.system, "cannot allocate \(bytes) bytes of shared memory for counters: \(error)")
        }
        cells = memory.bindMemory(to: Atomic<Int>.self, capacity: count)
    }
}
