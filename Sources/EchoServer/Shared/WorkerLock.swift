import Glibc
import Synchronization

/// A lock in memory that forked children share.  It survives the death of its holder.
struct WorkerLock: @unchecked Sendable {
    // Unchecked: a lock is thread-safe.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    /// How many times the lock was taken.
    private let acquisitions: UnsafeMutablePointer<Atomic<UInt64>>
    private let repair: @Sendable () -> Void

    /// `repair` undoes what a holder that was killed has left half done; the next holder calls it first.
    init(repair: @escaping @Sendable () -> Void) throws(StartFailure) {
        self.repair = repair
        mutex = try SharedMemory.allocate(1, of: pthread_mutex_t.self)
        acquisitions = try SharedMemory.allocate(1, of: Atomic<UInt64>.self)
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_setpshared(&attributes, Int32(PTHREAD_PROCESS_SHARED))
        pthread_mutexattr_setrobust(&attributes, Int32(PTHREAD_MUTEX_ROBUST))
        pthread_mutex_init(mutex, &attributes)
    }

    /// An OS thread that holds the lock.  While this value stays the same, the OS thread has not released the lock.
    struct Holder: Equatable {
        /// The kernel's number of the OS thread.
        let thread: pid_t
        let acquisition: UInt64
    }

    /// Nil where no OS thread holds the lock, or one that has died.  Takes no lock.
    var holder: Holder? {
        // The kernel finds the owner of a robust lock there: get_robust_list(2).
        let thread = mutex.pointee.__data.__lock & WorkerLock.threadMask
        return thread == 0 ? nil : Holder(thread: thread, acquisition: acquisitions.pointee.load(ordering: .relaxed))
    }

    /// FUTEX_TID_MASK.
    private static let threadMask: Int32 = 0x3fff_ffff

    /// Waits for the lock, however long it takes.
    func locked<Value>(_ body: () -> Value) -> Value { hold(pthread_mutex_lock(mutex), body) }

    /// Nil where another OS thread holds the lock for longer than a moment.
    func lockedIfFree<Value>(_ body: () -> Value) -> Value? {
        for _ in 0..<WorkerLock.attempts {
            let result = pthread_mutex_trylock(mutex)
            if result != EBUSY { return hold(result, body) }
            sched_yield()
        }
        return nil
    }

    private static let attempts = 16

    private func hold<Value>(_ result: Int32, _ body: () -> Value) -> Value {
        acquisitions.pointee.wrappingAdd(1, ordering: .relaxed)
        if result == EOWNERDEAD {
            repair()
            pthread_mutex_consistent(mutex)
        }
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
