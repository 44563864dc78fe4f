import Glibc
import GreenNet
import ProgramKit

/// A control group for the server alone.  It also counts the CPU time of processes that have ended.
final class ControlGroup {
    private let path: String

    /// Nil where none can be made (it takes root), or a process can't enter it and have `placement` there.
    init?(for placement: Placement) {
        guard let mount = ControlGroup.mount else { return nil }
        path = "\(mount)/green-bench-\(getpid())"
        guard mkdir(path, 0o755) == 0 else { return nil }
        // Where this fails, deinit has it removed.
        guard (try? Tool.run(entering + placement.words + ["true"])) != nil, cpuTime != nil else { return nil }
    }

    deinit { rmdir(path) }

    private static var mount: String? {
        (SmallFile.text(of: "/proc/mounts") ?? "").lines.map { String($0).words }
            .first { $0.count > 2 && $0[2] == "cgroup2" }?[1]
    }

    /// To be put before a command: the process enters the group, and then becomes that command.
    var entering: [String] { ["sh", "-c", "echo $$ >\"$0\" && exec \"$@\"", "\(path)/cgroup.procs"] }

    /// Of all that has ever run in it, in nanoseconds.
    var cpuTime: Int? {
        let line = (SmallFile.text(of: "\(path)/cpu.stat") ?? "").lines.first { $0.hasPrefix("usage_usec ") }
        return line.flatMap { String($0).words.last }.flatMap { Int($0) }.map { $0 * 1000 }
    }
}
