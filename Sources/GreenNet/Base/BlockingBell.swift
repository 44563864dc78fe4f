import Glibc

/// Blocks an OS thread until another one rings, once.
// sem_t is made to be shared by OS threads; it lives where it does not move.
final class BlockingBell: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func ring() { sem_post(semaphore) }

    func wait() { while sem_wait(semaphore) != 0 {} }
}
