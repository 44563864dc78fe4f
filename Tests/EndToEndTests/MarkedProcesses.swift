import Glibc
import TestSupport

/// A program and all processes that descend from it, even if their parent has ended.  They are found by a variable that all inherit.
struct MarkedProcesses: Sendable {
    private let mark: String

    private static let name = "GREENNET_TEST_MARK"

    init() { mark = "\(getpid())-\(UInt64.random(in: 0...UInt64.max))" }

    func put(on launch: inout Program.Launch) { launch.environment[MarkedProcesses.name] = mark }

    /// The processes that have not ended.
    var all: [pid_t] {
        let entry = "\(MarkedProcesses.name)=\(mark)"
        return ProcessStatus.numbers(in: "/proc").filter { pid in
            let variables = ProcessStatus.contents(of: "/proc/\(pid)/environ") ?? ""
            return variables.split(separator: "\0").contains { $0 == entry }
        }
    }

    /// Kills the processes that are left, for a test that has failed.
    func end() { for pid in all { kill(pid, SIGKILL) } }
}
