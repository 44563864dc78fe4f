import Glibc
import ProgramKit

/// A process and all that descend from it, as the kernel has them now.
struct ProcessTree {
    let processes: [pid_t]

    init(_ root: pid_t) {
        var (found, next) = ([root], 0)
        while next < found.count {
            found += ProcFS.children(of: found[next])
            next += 1
        }
        processes = found
    }

    /// In nanoseconds: of the OS threads that live, and of children that were waited for; in clock ticks where the kernel has nothing better.
    var cpuTime: Int {
        let times = processes.compactMap { ProcessTimes($0) }
        let exact = processes.reduce(0) { $0 + ProcessTree.exactTime(of: $1) }
        let living = exact > 0 ? exact : times.reduce(0) { $0 + $1.own }
        return living + times.reduce(0) { $0 + $1.ended }
    }

    /// From schedstat, which not every kernel has.
    private static func exactTime(of pid: pid_t) -> Int {
        SmallFile.entries(of: "/proc/\(pid)/task").reduce(0) { sum, thread in
            let text = SmallFile.text(of: "/proc/\(pid)/task/\(thread)/schedstat") ?? ""
            return sum + (text.words.first.flatMap { Int($0) } ?? 0)
        }
    }

    func signal(_ number: Int32) { for pid in processes { kill(pid, number) } }

    var isGone: Bool { processes.allSatisfy { kill($0, 0) != 0 } }
}

/// User and system time from /proc/PID/stat, in nanoseconds.
private struct ProcessTimes {
    let own: Int
    /// Of children that have ended and were waited for.
    let ended: Int

    init?(_ pid: pid_t) {
        // The name in parentheses may hold blanks.
        guard let text = SmallFile.text(of: "/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = String(text[text.index(after: end)...]).words.map { Int($0) ?? 0 }
        guard fields.count > 14 else { return nil }
        let tick = 1_000_000_000 / max(1, sysconf(Int32(_SC_CLK_TCK)))
        (own, ended) = ((fields[11] + fields[12]) * tick, (fields[13] + fields[14]) * tick)
    }
}
