import Glibc
import GreenNet
import ProgramKit

/// A process and all that descend from it, as the kernel sees them now.
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

    /// Without `root` itself.
    init(below root: pid_t) { processes = Array(ProcessTree(root).processes.dropFirst()) }

    /// Throws where the kernel's account of processes can't be seen: every figure would be 0.
    static func checkReadable() throws {
        if ProcessTree(getpid()).threads == 0 { throw Failure.noProcessFiles }
    }

    /// Of all OS threads that live, in user and in system mode.
    var processorTime: Duration {
        .nanoseconds(processes.reduce(0) { $0 + ProcessTree.processorTime(of: $1) })
    }

    private static func processorTime(of pid: pid_t) -> Int {
        ProcFS.numbers(in: "/proc/\(pid)/task").reduce(0) { sum, thread in
            let fields = SmallFile.text(of: "/proc/\(pid)/task/\(thread)/schedstat")?.split(separator: " ")
            return sum + (fields?.first.flatMap { Int($0) } ?? 0)
        }
    }

    var threads: Int {
        processes.reduce(0) { sum, pid in
            sum + (SmallFile.text(of: "/proc/\(pid)/status").flatMap { ProcFS.number("Threads", of: $0) } ?? 0)
        }
    }

    /// In bytes: resident pages, those that several processes share divided among them, and page tables.
    var memory: Int {
        processes.reduce(0) { sum, pid in
            let resident = SmallFile.text(of: "/proc/\(pid)/smaps_rollup").flatMap {
                ProcFS.number("Pss", of: $0)
            }
            let tables = SmallFile.text(of: "/proc/\(pid)/status").flatMap { ProcFS.number("VmPTE", of: $0) }
            return sum + ((resident ?? 0) + (tables ?? 0)) << 10
        }
    }
}
