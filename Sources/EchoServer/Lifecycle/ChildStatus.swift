import Glibc
import GreenNet

/// How a child process ended.
struct ChildStatus {
    /// As waitpid has it.
    let raw: Int32
    private var exit: ChildProcess.Exit { ChildProcess.Exit(waitStatus: raw) }

    /// The signal that killed it, or nil.
    var signal: Int32? { if case .signal(let number) = exit { number } else { nil } }
    /// 0 where a signal killed it.
    var exitCode: Int32 { if case .status(let number) = exit { number } else { 0 } }

    /// How the connection ended, of a child that serves one: that is its exit status.
    var connectionEnd: ConnectionEnd {
        signal == nil ? ConnectionEnd(rawValue: UInt8(exitCode)) ?? .crashed : signal == SIGALRM ? .cancelled : .crashed
    }

    /// Collects all children that have ended.  Never waits.
    static func ended() -> [(pid_t, ChildStatus)] {
        var found: [(pid_t, ChildStatus)] = []
        while let (pid, status) = Fork.endedChild() { found.append((pid, ChildStatus(raw: status))) }
        return found
    }
}
