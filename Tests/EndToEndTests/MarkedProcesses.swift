import Glibc
import TestSupport

/// A program and all that descend from it, whose children they may be by now: told by a variable that all inherit.
struct MarkedProcesses: Sendable {
    private let mark: String

    private static let name = "GREENNET_TEST_MARK"

    init() { mark = "\(getpid())-\(UInt64.random(in: 0...UInt64.max))" }

    func put(on launch: inout Program.Launch) { launch.environment[MarkedProcesses.name] = mark }

    /// Those that have not ended.
    var all: [pid_t] {
        let entry = "\(MarkedProcesses.name)=\(mark)"
        return ProcessStatus.numbers(in: "/proc").filter { pid in
            let variables = ProcessStatus.contents(of: "/proc/\(pid)/environ") ?? ""
            return variables.split(separator: "\0").contains { $0 == entry }
        }
    }

    /// Kills what is left, for a test that has found something.
    func end() { for pid in all { kill(pid, SIGKILL) } }
}
