import Glibc

/// A value that OS threads read at the same time, for each connection, and that hardly ever changes.
///
/// A mutex would have them sleep and wake each other: they meet there often, and one that has lost its processor inside holds up all others.
final class ReadMostly<Value>: @unchecked Sendable {
    // Unchecked: the value is touched under the lock only.
    private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
    private let value = UnsafeMutablePointer<Value>.allocate(capacity: 1)

    init(_ value: sending Value) {
        self.value.initialize(to: value)
        // Otherwise readers that follow one another without a gap would keep a writer waiting.
        var attributes = pthread_rwlockattr_t()
        pthread_rwlockattr_init(&attributes)
        pthread_rwlockattr_setkind_np(&attributes, Int32(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP))
        pthread_rwlock_init(lock, &attributes)
        pthread_rwlockattr_destroy(&attributes)
    }

    deinit {
        pthread_rwlock_destroy(lock)
        value.deinitialize(count: 1)
        value.deallocate()
        lock.deallocate()
    }

    /// `body` gets the value where it is, without a copy.  It must not wait, nor read here again: behind a writer, that would never end.
    func read<Answer, Failure>(_ body: (UnsafePointer<Value>) throws(Failure) -> Answer) throws(Failure) -> Answer {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body(value)
    }

    /// Waits until no other OS thread reads, and keeps them from it meanwhile.
    func write<Answer, Failure>(_ body: (inout Value) throws(Failure) -> Answer) throws(Failure) -> Answer {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body(&value.pointee)
    }
}
