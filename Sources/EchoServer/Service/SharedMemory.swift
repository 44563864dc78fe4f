import Glibc

/// Memory that a forked child shares with its parent.
enum SharedMemory {
    /// Zeroed, and never freed: it lives as long as the service.
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

/// A lock in memory that forked children share.  It survives the death of whoever held it.
struct SharedLock: @unchecked Sendable {
    // Unchecked: a lock is thread-safe.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() throws(StartFailure) {
        mutex = try SharedMemory.allocate(1, of: pthread_mutex_t.self)
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_setpshared(&attributes, Int32(PTHREAD_PROCESS_SHARED))
        pthread_mutexattr_setrobust(&attributes, Int32(PTHREAD_MUTEX_ROBUST))
        pthread_mutex_init(mutex, &attributes)
    }

    /// What a process killed inside has left half done is for the user to put right.
    func locked<Value>(_ body: () -> Value) -> Value {
        if pthread_mutex_lock(mutex) == EOWNERDEAD { pthread_mutex_consistent(mutex) }
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}

/// A value that forked children share.
struct SharedValue<Value: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Unchecked: touched under the lock only.
    private let cell: UnsafeMutablePointer<Value>
    private let lock: SharedLock

    init(_ value: Value) throws(StartFailure) {
        lock = try SharedLock()
        cell = try SharedMemory.allocate(1, of: Value.self)
        cell.initialize(to: value)
    }

    var value: Value {
        get { lock.locked { cell.pointee } }
        nonmutating set { lock.locked { cell.pointee = newValue } }
    }
}
