import Glibc
import Synchronization

/// An OS thread that runs one body and ends.  The program's only caller of `pthread_create`.
///
/// Its maker joins it, or leaves it alone: an OS thread whose handle goes without a `join` is detached.
package final class OSThread: Sendable {
    /// In bytes: as much as a green thread has.  Without a size, an OS thread has as much as `ulimit -s` says, 8 MiB by default.
    package static let smallStack = 256 << 10

    private let handle: pthread_t
    /// Joined or detached, which may happen to an OS thread once.
    private let isReleased = Atomic(false)

    /// Starts an OS thread that runs `body`.  Throws what `pthread_create` returns, EAGAIN where the system has no more.
    ///
    /// - `name`: as `ps -L` and debuggers show it, cut after 15 bytes; without one it has its maker's.
    /// - `stackSize`: in bytes.
    /// - `blocksSignals`: signals of the process go to other OS threads.  Without, the new one has its maker's signal mask.
    @discardableResult
    package static func start(
        named name: String? = nil, stackSize: Int? = nil, blocksSignals: Bool = false,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> OSThread {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if let stackSize { pthread_attr_setstacksize(&attributes, stackSize) }
        let job = Unmanaged.passRetained(Job(name, body))
        var handle = pthread_t()
        let number = withSignals(blocked: blocksSignals) {
            pthread_create(&handle, &attributes, runJob, job.toOpaque())
        }
        if number == 0 { return OSThread(handle) }
        job.release()
        throw SystemError(number)
    }

    private init(_ handle: pthread_t) { self.handle = handle }

    deinit { release { pthread_detach($0) } }

    /// Waits until it has ended, and blocks the calling OS thread meanwhile.  At once, where it was joined before.
    package func join() { release { pthread_join($0, nil) } }

    private func release(_ call: (pthread_t) -> Void) {
        if !isReleased.exchange(true, ordering: .relaxed) { call(handle) }
    }

    /// All signals but faults: a blocked fault would kill the process without a report.
    package static var signalsToBlock: sigset_t {
        var signals = sigset_t()
        sigfillset(&signals)
        for number in [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT] { sigdelset(&signals, number) }
        return signals
    }

    /// A new OS thread begins with its maker's mask.
    private static func withSignals(blocked: Bool, _ body: () -> Int32) -> Int32 {
        guard blocked else { return body() }
        var (all, before) = (signalsToBlock, sigset_t())
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return body()
    }

    fileprivate final class Job: Sendable {
        private let name: String?
        private let body: @Sendable () -> Void

        init(_ name: String?, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }

        func run() {
            if let name { LinuxCalls.nameThread(name) }
            body()
        }
    }
}

private let runJob: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { job in
    Unmanaged<OSThread.Job>.fromOpaque(job!).takeRetainedValue().run()
    return nil
}
