import Glibc
import GreenNet
import Synchronization

/// A lock in memory that forked children share.  It survives the death of its holder.
///
/// No robust pthread mutex, for the reason that `SharedGate` gives.
struct WorkerLock: @unchecked Sendable {
    // Unchecked: what is behind the pointer is atomic.
    private let gate: SharedGate
    /// How many times the lock was taken.
    private let acquisitions: UnsafeMutablePointer<Atomic<UInt64>>
    private let repair: @Sendable () -> Void

    /// `repair` undoes what a holder that was killed has left half done; the next holder calls it first.
    init(repair: @escaping @Sendable () -> Void) throws(StartFailure) {
        self.repair = repair
        SharedGate.prepareProcess()
        let words = SharedGate.bytes / MemoryLayout<Atomic<UInt64>>.size
        let memory = try SharedMemory.allocate(words + 1, of: Atomic<UInt64>.self)
        gate = SharedGate(at: UnsafeMutableRawPointer(memory))
        acquisitions = memory + words
    }

    /// A process of which an OS thread holds the lock.  While this value stays the same, that OS thread has not released the lock.
    struct Holder: Equatable {
        let process: pid_t
        let acquisition: UInt64
    }

    /// Nil where no process holds the lock.  One that has died holds it until the next one takes it over.  Takes no lock.
    var holder: Holder? {
        gate.holderProcess.map { Holder(process: $0, acquisition: acquisitions.pointee.load(ordering: .relaxed)) }
    }

    /// Waits for the lock, however long it takes.
    func locked<Value>(_ body: () -> Value) -> Value { gate.locked(repair: repair) { counted(body) } }

    /// Nil where another OS thread holds the lock for longer than a moment.
    func lockedIfFree<Value>(_ body: () -> Value) -> Value? { gate.lockedIfFree(repair: repair) { counted(body) } }

    private func counted<Value>(_ body: () -> Value) -> Value {
        acquisitions.pointee.wrappingAdd(1, ordering: .relaxed)
        defer { WorkerLock.beforeRelease?() }
        return body()
    }

    /// A library that tests preload has this function, which stops or kills the process while it holds the lock.  The lock makes no system call in which that
    /// could be done.
    private static let beforeRelease = dlsym(nil, "green_lock_held").map {
        unsafeBitCast($0, to: (@convention(c) () -> Void).self)
    }
}
