import Glibc
import GreenNet

/// How a child process ended, as waitpid reports it.
struct ChildStatus {
    let raw: Int32

    /// The signal that killed the child, or nil.
    var signal: Int32? { raw & 0x7f == 0 ? nil : raw & 0x7f }
    var exitCode: Int32 { (raw >> 8) & 0xff }

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
