import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// What a message costs, counted by strace.
    @Suite(
        .serialized, .enabled(if: Strace.isUsable, "strace is not here, or may not look at other processes"),
        .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"))
    struct SystemCallTests {
        private static let messages = 10_000

        @Test(arguments: [
            (ServerModel.green, ["recvfrom", "sendto", "epoll_wait"]), (.thread, ["recvfrom", "sendto"]),
            (.process, ["recvfrom", "sendto"]),
        ])
        func `a message is received, sent back and waited for by one call each, and nothing else is called`(
            model: ServerModel, expected: [String]
        ) throws {
            try withServer(model) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                // Where a process serves the client, it is that one.
                let child = try server.program.status().children.first
                let calls = try Strace.count(in: child ?? server.program.pid) {
                    for number in 0..<SystemCallTests.messages {
                        try client.expect("LINE \(number)", to: "line \(number)")
                    }
                }
                let (all, allowance) = (SystemCallTests.messages, SystemCallTests.messages / 100)
                for name in expected {
                    #expect((all - allowance...all + allowance).contains(calls[name] ?? 0), "\(name): \(calls)")
                }
                let others = calls.filter { !expected.contains($0.key) }.values.reduce(0, +)
                #expect(others < allowance, "\(calls)")
            }
        }
    }
}

/// The system calls of a process, counted.
private enum Strace {
    static let isUsable: Bool = {
        let result = try? Program.run(Program.Launch("/usr/bin/strace", ["-c", "-o", "/dev/null", "/bin/true"]))
        return result?.exit == .status(0)
    }()

    /// How often each call was made while `body` ran.
    static func count(in pid: pid_t, _ body: () throws -> Void) throws -> [String: Int] {
        try withTemporaryPath("calls") { path in
            let options = ["-f", "-c", "-U", "calls,name", "-o", path, "-p", "\(pid)"]
            let strace = try Program(Program.Launch("/usr/bin/strace", options))
            defer { strace.end() }
            try strace.waitForLine(containing: "attached")
            try body()
            strace.send(SIGINT)
            try strace.waitForExit()
            return parse(ProcessStatus.contents(of: path) ?? "")
        }
    }

    /// Lines of a number and a name, between rulers.
    private static func parse(_ table: String) -> [String: Int] {
        var calls: [String: Int] = [:]
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[1] != "total", let number = Int(words[0]) { calls[String(words[1])] = number }
        }
        return calls
    }
}
