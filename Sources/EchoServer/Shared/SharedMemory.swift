import Glibc
import GreenNet
import Synchronization

/// Memory that a forked child shares with its parent.
enum SharedMemory {
    private static let room = Mutex(SharedRoom())

    /// Zeroed memory that is never freed, at a multiple of `SharedRoom.alignment`.  Each of its pages takes memory from the first access on.
    static func allocate<T: ~Copyable>(
        _ count: Int, of type: T.Type
    ) throws(StartFailure) -> UnsafeMutablePointer<T> {
        let bytes = count * MemoryLayout<T>.stride
        do throws(SystemError) {
            // As a number: a pointer, which is not Sendable, would count as part of the room.
            let address = try room.withLock { room throws(SystemError) in
                UInt(bitPattern: try room.take(bytes, in: getpid()))
            }
            return UnsafeMutableRawPointer(bitPattern: address)!.bindMemory(to: T.self, capacity: count)
        } catch {
            throw StartFailure(
                .system, "cannot allocate \(bytes) bytes of shared memory for counters and limits: \(error)")
        }
    }
}
