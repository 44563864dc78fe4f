import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The notifications that a service manager gets.
    @Suite(.serialized) struct NotifyTests {
        /// As `withServer`, with a manager that receives the server's notifications.
        private func withManagedServer(
            _ model: ServerModel, _ arguments: [String] = [], watchdog: String? = nil, setup: String? = nil,
            _ body: @escaping @Sendable (Server, ManagerSocket) throws -> Void
        ) throws {
            let manager = try ManagerSocket()
            try withServer(model, arguments) {
                $0.environment["NOTIFY_SOCKET"] = manager.name
                $0.environment["WATCHDOG_USEC"] = watchdog
                $0.setup = setup
            } _: { server in
                try body(server, manager)
            }
        }

        @Test(arguments: ServerModel.testable(ServerModel(.green, "--processes", "2")))
        func `a stuck hub in another process stops watchdog notifications`(model: ServerModel) throws {
            try withManagedServer(model, ["--worker-timeout", "0"], watchdog: "200000") { server, manager in
                let child = try #require(server.program.status().children.first)
                kill(child, SIGSTOP)
                defer { kill(child, SIGCONT) }
                let isHungry = try eventuallyOnHub(within: .seconds(15)) {
                    while manager.next() != nil {}
                    try Greenlet.sleep(for: .milliseconds(500))
                    return manager.next() == nil
                }
                #expect(isHungry)
                kill(child, SIGCONT)
                let isFed = try eventuallyOnHub { manager.next() == "WATCHDOG=1\n" }
                #expect(isFed)
            }
        }

        private static func status(_ model: ServerModel, _ connections: String, accepted: Int) -> String {
            "\(connections), \(accepted) accepted, limit [0-9]+, model \(model.kind)"
        }

        @Test(arguments: ServerModel.all)
        func `the service notifies ready, status and stopping, in this order`(model: ServerModel) throws {
            try withManagedServer(model) { server, manager in
                let ready = try manager.wait()
                #expect(ready.matches("READY=1\nSTATUS=\(NotifyTests.status(model, "0 connections", accepted: 0))\n"))
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                let status = try manager.wait()
                #expect(status.matches("STATUS=\(NotifyTests.status(model, "1 connection", accepted: 1))\n"))
                server.program.send(SIGTERM)
                #expect(try manager.wait().hasPrefix("STOPPING=1\n"))
                // A client still has to finish.
                #expect(try manager.wait().matches("EXTEND_TIMEOUT_USEC=[0-9]+\n"))
                client.close()
                #expect(try server.program.waitForExit() == .status(0))
                while let last = manager.next() { #expect(last.hasPrefix("STATUS=stopping, ")) }
            }
        }

        @Test func `the status is notified at most once a second`() throws {
            try withManagedServer(.green) { server, manager in
                _ = try manager.wait()
                let start = Deadline.now
                while .now - start < .seconds(2) { try #expect(server.answer(to: "x") == "X") }
                var count = 0
                while let status = manager.next() {
                    #expect(status.hasPrefix("STATUS="))
                    count += 1
                }
                #expect((1...2).contains(count))
            }
        }

        @Test(arguments: ServerModel.all)
        func `the watchdog is notified while the server serves and while it stops`(model: ServerModel) throws {
            let setup = "export WATCHDOG_PID=$$"
            try withManagedServer(model, watchdog: "100000", setup: setup) { server, manager in
                #expect(try manager.wait().hasPrefix("READY=1\n"))
                let start = Deadline.now
                for _ in 0..<5 { #expect(try manager.wait() == "WATCHDOG=1\n") }
                #expect(.now - start < .milliseconds(200) + slack)
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                server.program.send(SIGTERM)
                while try !manager.wait().hasPrefix("STOPPING=1\n") {}
                var fed = 0
                while fed < 5 { if try manager.wait() == "WATCHDOG=1\n" { fed += 1 } }
                client.close()
                #expect(try server.program.waitForExit() == .status(0))
            }
        }

        @Test func `a watchdog of another process is not notified`() throws {
            try withManagedServer(.green, watchdog: "1000", setup: "export WATCHDOG_PID=1") { server, manager in
                #expect(try manager.wait().hasPrefix("READY=1\n"))
                try #expect(server.answer(to: "x") == "X")
                // The next notification.
                #expect(try manager.wait().hasPrefix("STATUS="))
            }
        }

        @Test(arguments: ServerModel.all)
        func `HUP is notified as a reload and disturbs no client`(model: ServerModel) throws {
            try withManagedServer(model) { server, manager in
                #expect(try manager.wait().hasPrefix("READY=1\n"))
                let client = try server.connect()
                defer { client.close() }
                try client.expect("BEFORE", to: "before")
                let before = Deadline.now.nanoseconds / 1000
                server.program.send(SIGHUP)
                var reloading = try manager.wait()
                if reloading.hasPrefix("STATUS=") { reloading = try manager.wait() }
                let lines = reloading.split(separator: "\n").map(String.init)
                #expect(lines.first == "RELOADING=1")
                #expect(lines.count == 2)
                let time = try #require(Int64(lines[1].dropFirst("MONOTONIC_USEC=".count)))
                #expect(time >= before)
                #expect(time <= Deadline.now.nanoseconds / 1000)
                #expect(try manager.wait().hasPrefix("READY=1\n"))
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=none")
                try client.expect("AFTER", to: "after")
            }
        }

        @Test(arguments: ServerModel.all)
        func `HUP to all processes, as when a terminal closes, disturbs no client`(model: ServerModel) throws {
            try withServer(model) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("BEFORE", to: "before")
                for child in try server.program.status().children { kill(child, SIGHUP) }
                server.program.send(SIGHUP)
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=none")
                try client.expect("AFTER", to: "after")
                try #expect(server.answer(to: "another") == "ANOTHER")
            }
        }

        @Test func `a server that fails to start never notifies ready`() throws {
            let manager = try ManagerSocket()
            try withServer { other in
                let (exit, _, _) = try Program.run(
                    Server.launch(.green, ["--port", "\(other.port)"]) {
                        $0.environment["NOTIFY_SOCKET"] = manager.name
                    })
                #expect(exit == .status(69))
                #expect(manager.next() == nil)
            }
        }

        @Test func `the server continues when the manager is gone`() throws {
            let variables = ["NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "10000"]
            try withServer(variables: variables) { server in
                for number in 0..<20 { try #expect(server.answer(to: "line \(number)") == "LINE \(number)") }
            }
        }

        @Test func `without a manager nothing is notified`() throws {
            try withServer(variables: ["WATCHDOG_USEC": "10000"]) { server in
                server.program.send(SIGUSR1)
                try server.program.waitOnHub(forLineContaining: "green threads:")
                try server.program.waitOnHub(forLineContaining: "(state on USR1)")
                let lines = server.program.standardError.lines
                #expect(!lines.contains { $0.contains("(status)") || $0.contains("(watchdog)") })
            }
        }
    }
}

extension String {
    /// Whether the whole text matches `pattern`.
    fileprivate func matches(_ pattern: String) -> Bool {
        (try? Regex(pattern).wholeMatch(in: self)) != nil
    }
}
