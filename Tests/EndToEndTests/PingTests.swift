import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client ping`, the health check.
    @Suite(.serialized) struct PingTests {
        private static func launch(_ arguments: String...) throws -> Program.Launch {
            try Program.built("echo-client", ["ping"] + arguments)
        }

        @Test(arguments: ["upper", "echo"])
        func `a service that answers is healthy`(transform: String) throws {
            try withServer(.green, ["--transform", transform]) { server in
                let port = "\(try server.port)"
                for expected in [["--transform", transform], []] {
                    var launch = try PingTests.launch("127.0.0.1", port)
                    launch.arguments += expected
                    let result = try Program.run(launch)
                    #expect(result.exit == .status(0))
                    #expect(result.output.hasPrefix("127.0.0.1:\(port) answered in "))
                    #expect(result.error == "")
                }
            }
        }

        @Test func `a service with the other transform is not healthy`() throws {
            try withServer(.green, ["--transform", "echo"]) { server in
                let result = try Program.run(PingTests.launch("127.0.0.1", "\(server.port)", "--transform", "upper"))
                #expect(result.exit == .status(1))
                #expect(result.output == "")
                #expect(result.error.contains("returned other bytes than it was sent"))
            }
        }

        @Test func `a missing service is not healthy`() throws {
            try onHub {
                let port = try FakeService.unusedPort()
                let result = try Program.run(PingTests.launch("127.0.0.1", port))
                #expect(result.exit == .status(1))
                #expect(
                    result.error
                        == "echo-client: cannot connect to 127.0.0.1:\(port): connection refused (ECONNREFUSED)\n")
            }
        }

        @Test(arguments: [["ping"], ["load", "--duration", "0.1"], ["127.0.0.1", "7"]], [4, 5])
        func `without descriptors for a connection ping says so and exits with status 1`(
            arguments: [String], limit: Int
        ) throws {
            var launch = try Program.built("echo-client", arguments)
            launch.setup = "ulimit -n \(limit)"
            let result = try Program.run(launch)
            #expect(result.exit == .status(1))
            #expect(result.error.contains("EMFILE") || result.error.contains("limit of open descriptors"))
            #expect(!result.error.contains("Fatal error"))
        }

        /// The port is the only one that the kernel can give the client, which so gets connected to itself.
        @Test(
            .enabled(if: NetworkNamespace.obstacle == nil, "needs root and ip(8)"),
            arguments: ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])
        func `a missing service is not healthy, even if the socket is connected to itself`(host: String) throws {
            try onOSThread {
                try NetworkNamespace.enter()
                try write("40100 40101", to: "/proc/sys/net/ipv4/ip_local_port_range")
                let result = try Program.run(PingTests.launch(host, "40100"))
                #expect(result.exit == .status(1))
                #expect(result.error.contains("connection refused (ECONNREFUSED)"))
            }
        }

        /// `localhost` has two addresses; 127.0.0.1 refuses.
        @Test(.enabled(if: Sanitizer.active == .none, "a sanitizer does not start with the shim preloaded"))
        func `ping by name succeeds even if the kernel can watch none of its sockets`() throws {
            try withServer(.green, ["--host", "::1"]) { server in
                let faults = try Faults()
                // The first call is for the loop itself.
                faults.fail(.epollControl, 2...Int(Int32.max), with: ENOSPC)
                var launch = try PingTests.launch("localhost", "\(server.port)")
                faults.preload(&launch)
                let result = try Program.run(launch)
                #expect(result.exit == .status(0), "\(result)")
                #expect(result.output.hasPrefix("[::1]:\(try server.port) answered in "))
                #expect(faults.made(.epollControl) > 2)
            }
        }

        @Test func `a service that does not answer in time is not healthy, and the timeout is kept`() throws {
            try withServer { server in
                server.program.send(SIGSTOP)
                defer { server.program.send(SIGCONT) }
                let start = Deadline.now
                let result = try Program.run(PingTests.launch("127.0.0.1", "\(server.port)", "--timeout", "0.5"))
                let time = Deadline.now - start
                #expect(result.exit == .status(1))
                #expect(result.error == "echo-client: \(server.address) did not answer within 0.5 seconds\n")
                #expect(time >= .milliseconds(500))
                #expect(time < .milliseconds(500) + slack)
            }
        }

        @Test func `a partial answer is distinguished from no answer`() throws {
            try onHub {
                try FakeService.with { connection in
                    try connection.sendAll([UInt8](connection.receive(exactly: 8).prefix(3)))
                    try Greenlet.sleep(for: .seconds(60))
                } _: { port in
                    let program = try Program(PingTests.launch("127.0.0.1", port, "--timeout", "0.3"))
                    defer { program.end() }
                    try #expect(program.waitForExitOnHub() == .status(1))
                    #expect(
                        program.standardError.textToEnd()
                            == "echo-client: 127.0.0.1:\(port) answered 3 of 8 bytes, and no more within 0.3 seconds\n")
                }
            }
        }

        @Test func `a service that closes without an answer is not healthy`() throws {
            try onHub {
                try FakeService.with { _ in
                } _: { port in
                    let program = try Program(PingTests.launch("127.0.0.1", port))
                    defer { program.end() }
                    try #expect(program.waitForExitOnHub() == .status(1))
                    #expect(program.standardError.textToEnd().hasPrefix("echo-client: "))
                }
            }
        }
    }
}
