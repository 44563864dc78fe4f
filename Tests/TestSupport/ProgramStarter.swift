import Glibc
import GreenNet

/// An OS thread that starts the tests' programs, and lives as long as the test program does.
///
/// The kernel kills a program when the OS thread that has started it ends: so no program is left by tests that crash, are killed, or are stopped at a
/// terminal.  The OS thread of a test may end before its programs do.
///
/// A test that gives its OS thread a network of its own starts programs in that, without this help.
final class ProgramStarter: @unchecked Sendable {
    // Unchecked: `requests` is touched under the lock only.
    private var requests: [@Sendable () -> Void] = []
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let requestCame = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    private static let shared = ProgramStarter()

    private init() {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(requestCame, nil)
        do throws(SystemError) {
            try OSThread.start(named: "programs", blocksSignals: true) { [self] in work() }
        } catch {
            fatalError("no OS thread to start programs: \(error)")
        }
    }

    /// Starts `program`, and returns its id; the caller collects its end.
    static func start(_ program: ProgramStart) throws(SystemError) -> pid_t {
        func network(_ who: String) -> String? { ProcessStatus.linkTarget("/proc/\(who)/ns/net") }
        if network("thread-self") == network("self") { return try shared.start(program) }
        return try program.start()
    }

    private func start(_ program: ProgramStart) throws(SystemError) -> pid_t {
        let answer = Handoff<Result<pid_t, SystemError>>()
        pthread_mutex_lock(lock)
        requests.append {
            var program = program
            program.signalAtStartersEnd = SIGKILL
            let start = program
            answer.give(Result { () throws(SystemError) in try start.start() })
        }
        pthread_mutex_unlock(lock)
        pthread_cond_signal(requestCame)
        guard let result = answer.take() else { throw SystemError(ETIMEDOUT) }
        return try result.get()
    }

    private func work() -> Never {
        // It belongs to no test.
        LeakCheck.unmarkOSThread()
        while true { next()() }
    }

    private func next() -> @Sendable () -> Void {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while requests.isEmpty { pthread_cond_wait(requestCame, lock) }
        return requests.removeFirst()
    }
}
