import Glibc
import GreenNet

/// How a child process ended, as waitpid tells it.
struct ChildStatus {
    let raw: Int32

    /// The signal that killed it, or nil.
    var signal: Int32? { raw & 0x7f == 0 ? nil : raw & 0x7f }
    var exitCode: Int32 { (raw >> 8) & 0xff }

    /// A child that serves one connection exits with how that ended.
    var connectionEnd: ConnectionEnd {
        signal == nil ? ConnectionEnd(rawValue: UInt8(exitCode)) ?? .crashed : signal == SIGALRM ? .cancelled : .crashed
    }

    /// All children that have ended and were not told of before.  Never waits.
    static func ended() -> [(pid_t, ChildStatus)] {
        var found: [(pid_t, ChildStatus)] = []
        while let (pid, status) = Fork.endedChild() { found.append((pid, ChildStatus(raw: status))) }
        return found
    }
}

extension ChildStatus: CustomStringConvertible {
    var description: String { signal.map { "killed by signal \($0)" } ?? "exited with \(exitCode)" }
}
