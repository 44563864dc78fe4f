import Glibc
import ProgramKit

/// What the kernel shows of a process.
package struct ProcessStatus: Sendable {
    package let pid: pid_t
    package let threads: Int
    /// Open descriptors.
    package let descriptors: Int
    /// What each open descriptor refers to, such as `socket:[4711]`.
    package let descriptorTargets: [String]
    /// Resident memory in bytes, now and at its peak.
    package let residentMemory: Int
    package let peakResidentMemory: Int
    /// The time of all threads in user and system mode, to 10 ms.
    package let processorTime: Duration
    package let children: [pid_t]

    /// Nil if the process has ended, reaped or not.
    package init?(_ pid: pid_t) {
        guard let status = SmallFile.text(of: "/proc/\(pid)/status"),
            let stat = SmallFile.text(of: "/proc/\(pid)/stat"),
            let threads = ProcFS.number("Threads", of: status),
            let resident = ProcFS.number("VmRSS", of: status),
            let peak = ProcFS.number("VmHWM", of: status)
        else { return nil }
        (self.pid, self.threads) = (pid, threads)
        (residentMemory, peakResidentMemory) = (resident << 10, peak << 10)
        processorTime = ProcessStatus.processorTime(stat)
        descriptorTargets = Array(ProcFS.descriptors(of: pid).values)
        descriptors = descriptorTargets.count
        children = ProcFS.children(of: pid)
    }

    /// proc(5): utime and stime are the 14th and 15th field; the second, the name, may hold anything, parentheses included.
    private static func processorTime(_ stat: String) -> Duration {
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Int(fields[12]), let system = Int(fields[13]) else { return .zero }
        return .milliseconds((user + system) * 1000 / sysconf(Int32(_SC_CLK_TCK)))
    }
}

// MARK: - Files of /proc

extension ProcessStatus {
    package static func children(of pid: pid_t) -> [pid_t] { ProcFS.children(of: pid) }

    /// Nil if there is no such file, or no longer.
    package static func contents(of path: String) -> String? { SmallFile.text(of: path) }

    package static func linkTarget(_ path: String) -> String? { ProcFS.linkTarget(path) }

    package static func numbers(in path: String) -> [Int32] { ProcFS.numbers(in: path) }
}
