import Glibc
import GreenNet

/// OS threads, each for one job.
enum OSThread {
    /// Runs `body` on a new OS thread, in which signals are blocked: they are for the main one.  Throws where the system has no more.
    static func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var (all, before) = (sigset_t(), sigset_t())
        sigfillset(&all)
        // Faults are for whoever causes them.
        for number in [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT] { sigdelset(&all, number) }
        // A new OS thread begins with its maker's mask.
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let job = Unmanaged.passRetained(Job(body))
        var thread = pthread_t()
        let number = pthread_create(&thread, nil, runJob, job.toOpaque())
        if number != 0 {
            job.release()
            throw SystemError(number)
        }
        pthread_detach(thread)
    }

    fileprivate final class Job: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

private let runJob: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { job in
    Unmanaged<OSThread.Job>.fromOpaque(job!).takeRetainedValue().body()
    return nil
}
