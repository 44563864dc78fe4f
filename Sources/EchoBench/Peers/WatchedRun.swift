import Glibc
import GreenNet
import ProgramKit

/// 64 connections for some time, while a tool watches the server and nothing else.
struct WatchedRun {
    private static let connections = 64
    /// For which perf gets to begin.
    private static let headStart = Duration.milliseconds(500)

    let harness: Harness
    let server: RunningServer
    let seconds: Double

    /// Runs `tool` with `-p PIDS`, and returns how many messages were answered meanwhile.
    func messages(watchedBy tool: [String]) throws -> Double {
        let options = ["--attended", "--connections", "\(WatchedRun.connections)", "--seconds", "\(seconds)"]
        return try harness.load(server).attended(options, seconds: seconds) { generator in
            let processes = server.tree.processes
            let pids = processes.map { "\($0)" }.joined(separator: ",")
            return try withChild(tool[0], tool.dropFirst() + ["-p", pids]) { watcher in
                let errors = spawn { LineReader(watcher.errorOutput).drain() }
                defer { errors.kill() }
                try waitUntilWatching(tool[0], watcher, processes)
                try generator.go()
                let report = try LoadReport(parsing: try generator.hear())
                // strace and perf write their results at this signal.
                watcher.send(SIGINT)
                _ = try watcher.wait(until: .after(.seconds(30)))
                return report.messages
            }
        }
    }

    /// strace shows in /proc when it is there; perf does not.
    private func waitUntilWatching(_ tool: String, _ watcher: ChildProcess, _ processes: [pid_t]) throws {
        guard tool == "strace" else { return try Greenlet.sleep(for: WatchedRun.headStart) }
        while !processes.allSatisfy(isTraced) {
            if (try? watcher.wait(until: .after(.milliseconds(20)))) != nil { throw BenchFailure("strace has ended") }
        }
    }

    private func isTraced(_ pid: pid_t) -> Bool {
        SmallFile.entries(of: "/proc/\(pid)/task").allSatisfy { thread in
            SmallFile.text(of: "/proc/\(pid)/task/\(thread)/status").map { field("TracerPid", of: $0) != 0 } ?? true
        }
    }
}
