import Glibc
import GreenNet

/// OS threads with a small stack of their own.
enum OSThread {
    /// As much as a green thread has.
    static let stackSize = 256 << 10

    /// Runs `body` on a new OS thread, in which the process's signals are blocked: they are for the main one.
    static func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackSize)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let box = Unmanaged.passRetained(Box(body))
        let number = withSignalsBlocked {
            var thread = pthread_t()
            return pthread_create(&thread, &attributes, threadMain, box.toOpaque())
        }
        guard number != 0 else { return }
        box.release()
        throw SystemError(number)
    }

    /// Runs `body` on a new OS thread and waits, blocking, for its end.
    static func runAndWait(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let ended = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
        sem_init(ended, 0, 0)
        defer {
            sem_destroy(ended)
            ended.deallocate()
        }
        let signal = Ended(semaphore: ended)
        try start {
            body()
            sem_post(signal.semaphore)
        }
        while sem_wait(ended) < 0 {}
    }

    // Unchecked: a semaphore is thread-safe.
    private struct Ended: @unchecked Sendable {
        let semaphore: UnsafeMutablePointer<sem_t>
    }

    /// A new OS thread begins with its maker's mask.
    private static func withSignalsBlocked(_ body: () -> Int32) -> Int32 {
        var all = Fork.signalsToBlock
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return body()
    }

    fileprivate final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

private let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
    Unmanaged<OSThread.Box>.fromOpaque(argument!).takeRetainedValue().body()
    return nil
}
