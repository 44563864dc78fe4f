import Glibc
import TestSupport

/// Counts the system calls of another process.
enum Strace {
    static let isUsable: Bool = {
        let result = try? Program.run(Program.Launch("/usr/bin/strace", ["-c", "-o", "/dev/null", "/bin/true"]))
        return result?.exit == .status(0)
    }()

    /// How often each call was made while `body` ran.
    static func count(in pid: pid_t, _ body: () throws -> Void) throws -> [String: Int] {
        try withTemporaryPath("calls") { path in
            try run(["-f", "-c", "-U", "calls,name", "-o", path], on: pid, body)
            return parse(ProcessStatus.contents(of: path) ?? "")
        }
    }

    private static func run(_ options: [String], on pid: pid_t, _ body: () throws -> Void) throws {
        let strace = try Program(Program.Launch("/usr/bin/strace", options + ["-p", "\(pid)"]))
        defer { strace.end() }
        try strace.waitForLine(containing: "attached")
        try body()
        strace.send(SIGINT)
        try strace.waitForExit()
    }

    /// Reads lines of a number and a name, between rulers.
    private static func parse(_ table: String) -> [String: Int] {
        var calls: [String: Int] = [:]
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[1] != "total", let number = Int(words[0]) { calls[String(words[1])] = number }
        }
        return calls
    }
}
