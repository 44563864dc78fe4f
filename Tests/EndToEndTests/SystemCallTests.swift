import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The system calls for one message, counted by strace.
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
                // If a child process serves the client, count its calls.
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
