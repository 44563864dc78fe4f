import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// What `Settings` says to each bad value is tested there; here, that it reaches whoever has started the program.
    @Suite(.serialized) struct CommandLineTests {
        @Test func `help goes to standard output, with status 0, and names every option`() throws {
            let result = try Program.run(Program.built("echo-server", ["--help"]))
            #expect(result.exit == .status(0))
            #expect(result.error == "")
            for option in [
                "host", "port", "unix-socket", "model", "transform", "workers", "processes", "pool-size", "buffer-size",
                "backlog", "max-connections", "max-connections-per-ip", "overflow", "idle-timeout", "write-timeout",
                "drain-timeout", "log-level", "log-format",
            ] {
                #expect(result.output.contains("--\(option) "))
            }
        }

        @Test func `the version goes to standard output, with status 0`() throws {
            let result = try Program.run(Program.built("echo-server", ["--version"]))
            #expect(result.exit == .status(0))
            #expect(result.error == "")
            #expect(result.output.hasPrefix("echo-server "))
            #expect(result.output.contains("libev \(GreenNetInfo.libevVersion)"))
        }

        @Test(arguments: [
            ["--port", "70000"], ["--transform", "lower"], ["--buffer-size", "0"], ["--drain-timeout", "soon"],
            ["--log-level", "loud"],
        ])
        func `a bad option ends it with status 64, and one line with option, value and what was expected`(
            arguments: [String]
        ) throws {
            let result = try Program.run(Program.built("echo-server", arguments))
            #expect(result.exit == .status(64))
            #expect(result.output == "")
            #expect(result.error.hasPrefix("echo-server: \(arguments[0]): '\(arguments[1])' is not "))
            #expect(result.error.split(separator: "\n").count == 1)
        }

        @Test(arguments: [["--prot", "80"], ["--port"], ["8080"]])
        func `what is no option ends it with status 64`(arguments: [String]) throws {
            let result = try Program.run(Program.built("echo-server", arguments))
            #expect(result.exit == .status(64))
            #expect(result.error.contains(arguments[0]))
        }

        @Test(arguments: [("ECHO_SERVER_PORT", "70000"), ("ECHO_SERVER_DRAIN_TIMEOUT", "soon")])
        func `a bad variable ends it with status 78, and one line with variable, value and what was expected`(
            name: String, value: String
        ) throws {
            var launch = try Program.built("echo-server")
            launch.environment[name] = value
            let result = try Program.run(launch)
            #expect(result.exit == .status(78))
            #expect(result.error.hasPrefix("echo-server: \(name): '\(value)' is not "))
            #expect(result.error.split(separator: "\n").count == 1)
        }

        @Test func `the environment counts where no option is given`() throws {
            try withServer(adjust: {
                $0.environment = ["ECHO_SERVER_TRANSFORM": "echo", "ECHO_SERVER_PORT": "not looked at"]
            }) { server in
                try #expect(server.answer(to: "as it is") == "as it is")
            }
        }
    }
}
