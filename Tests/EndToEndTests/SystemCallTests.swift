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
            (.process, ["recvfrom", "sendto"]), (.forkServer, ["recvfrom", "sendto"]),
        ])
        func `a message is received, sent back and waited for by one call each, and nothing else is called`(
            model: ServerModel, expected: [String]
        ) throws {
            try withServer(model) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                // If a child process serves the client, count its calls.
                let child = try server.descriptorsOfChildren().keys.first
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

        @Test
        func
            `a client of one message costs an accept, a watch, a send and a close, two receives or three, and nothing else`()
            throws
        {
            try withServer(.green) { server in
                let (clients, allowance) = (1000, 10)
                let calls = try Strace.count(in: server.program.pid) {
                    for number in 0..<clients {
                        let client = try server.connect()
                        defer { client.close() }
                        try client.expect("LINE \(number)", to: "line \(number)")
                    }
                }
                for name in ["epoll_ctl", "sendto", "close"] {
                    #expect((clients - allowance...clients + allowance).contains(calls[name] ?? 0), "\(name): \(calls)")
                }
                // One accept in eight finds none.
                #expect((clients...clients * 9 / 8 + allowance).contains(calls["accept4"] ?? 0), "\(calls)")
                // The first finds none where the message comes after the connection.
                #expect((2 * clients - allowance...3 * clients).contains(calls["recvfrom"] ?? 0), "\(calls)")
                let expected = ["epoll_ctl", "sendto", "close", "accept4", "recvfrom", "epoll_wait"]
                let others = calls.filter { !expected.contains($0.key) }.values.reduce(0, +)
                #expect(others < allowance, "\(calls)")
            }
        }
    }
}
