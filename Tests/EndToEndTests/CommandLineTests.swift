import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// How `Settings` refuses each bad value is tested in SettingsTests; here, that the message reaches the user and the exit status is right.
    @Suite(.serialized) struct CommandLineTests {
        @Test func `help goes to standard output, with status 0, and names every option`() throws {
            let result = try Program.run(Program.built("echo-server", ["--help"]))
            #expect(result.exit == .status(0))
            #expect(result.error == "")
            for option in [
                "host", "port", "unix-socket", "model", "transform", "workers", "processes", "pool-size",
                "worker-timeout", "buffer-size",
                "backlog", "max-connections", "max-connections-per-ip", "overflow", "allow", "deny", "ipv6-prefix",
                "new-per-address", "idle-timeout", "write-timeout",
                "drain-timeout", "lame-duck", "tls-certificate", "tls-key", "tls-client-ca", "handshake-timeout",
                "proxy-protocol", "record",
                "proxy-trusted", "proxy-timeout", "log-level",
                "log-format", "config", "admin", "unix-socket-mode", "unix-socket-owner",
                "unix-socket-group", "admin-mode", "admin-owner", "admin-group",
                "keepalive", "tcp-user-timeout", "dscp", "bind-device", "defer-accept", "fast-open", "listen",
                "take-over", "service", "chargen-limit", "udp-rate", "delay",
                "jitter", "bandwidth", "reset-after", "close-after", "truncate", "corrupt", "refuse", "fault",
                "fault-seed",
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
            ["--port", "70000"], ["--port", "-1"], ["--idle-timeout", "-1"], ["--idle-timeout", "1e300"],
            ["--transform", "title"], ["--buffer-size", "0"], ["--drain-timeout", "soon"],
            ["--log-level", "loud"],
        ])
        func `an invalid option ends the start with status 64 and one line with option, value and what is expected`(
            arguments: [String]
        ) throws {
            let result = try Program.run(Program.built("echo-server", arguments))
            #expect(result.exit == .status(64))
            #expect(result.output == "")
            #expect(result.error.hasPrefix("echo-server: \(arguments[0]): '\(arguments[1])' is not "))
            #expect(result.error.split(separator: "\n").count == 1)
        }

        @Test(arguments: [
            (["--workers", "8"], "ulimit -n 20"), ([], "ulimit -n 5"),
            (["--processes", "2", "--workers", "4"], "ulimit -n 12"), (["--model", "thread"], "ulimit -n 6"),
            (["--model", "process", "--pool-size", "2"], "ulimit -n 5"), (["--admin", "127.0.0.1:0"], "ulimit -n 8"),
        ])
        func `too few descriptors for the hubs end the start with status 71 and one line with the limit`(
            arguments: [String], setup: String
        ) throws {
            var launch = try Program.built("echo-server", ["--port", "0"] + arguments)
            launch.setup = setup
            let result = try Program.run(launch)
            #expect(result.exit == .status(71))
            #expect(
                result.error.hasPrefix(
                    "echo-server: descriptor limit too low: \(setup.split(separator: " ").last!); "))
            #expect(result.error.split(separator: "\n").count == 1)
        }

        @Test(.enabled(if: Sanitizer.active == .none, "a sanitizer takes all the address space there is"))
        func `limits that need more memory than there is end the start with status 71 and one line with the amount`()
            throws
        {
            let arguments = ["--port", "0", "--processes", "512", "--max-connections-per-ip", "1"]
            var launch = try Program.built("echo-server", arguments)
            launch.setup = "ulimit -v 400000"
            let result = try Program.run(launch)
            #expect(result.exit == .status(71))
            #expect(result.error.hasPrefix("echo-server: cannot allocate "))
            #expect(result.error.split(separator: "\n").count == 1)
        }

        @Test(arguments: [["--prot", "80"], ["--port"], ["8080"]])
        func `an unknown option ends the start with status 64`(arguments: [String]) throws {
            let result = try Program.run(Program.built("echo-server", arguments))
            #expect(result.exit == .status(64))
            #expect(result.error.contains(arguments[0]))
        }

        @Test(arguments: [("ECHO_SERVER_PORT", "70000"), ("ECHO_SERVER_DRAIN_TIMEOUT", "soon")])
        func `an invalid variable ends the start with status 78 and one line with variable, value and what is expected`(
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

        // MARK: Configuration

        @Test func `a check of a valid configuration prints nothing`() throws {
            try withTemporaryPath("settings") { path in
                try write("model = process\npool-size = 2\nport = 0\n", to: path)
                let result = try Program.run(Program.built("echo-server", ["--config", path, "--check-config"]))
                #expect(result.exit == .status(0))
                #expect(result.output == "")
                #expect(result.error == "")
            }
        }

        @Test(arguments: [
            ("port = 70000", "settings:1: port: '70000' is not a whole number from 0 to 65535"),
            ("# x\nprot = 80", "settings:2: unknown setting 'prot'; did you mean 'port'?"),
            ("pool-size = 2", "settings:1: pool-size: '2' needs the model thread or process, not green"),
        ])
        func `an invalid configuration ends the start with status 78 and one line with file, line and reason`(
            text: String, message: String
        ) throws {
            try withTemporaryPath("settings") { path in
                try write(text, to: path)
                for options in [[], ["--check-config"], ["--print-config"]] {
                    let result = try Program.run(Program.built("echo-server", ["--config", path] + options))
                    #expect(result.exit == .status(78))
                    #expect(result.output == "")
                    #expect(result.error == "echo-server: \(path.dropLast(8))\(message)\n")
                }
            }
        }

        @Test(arguments: [
            (">/dev/full", "no space left on device (ENOSPC)"), (">&-", "bad file descriptor (EBADF)"),
        ])
        func `a configuration that cannot be printed ends with status 71`(redirection: String, error: String) throws {
            var launch = try Program.built("echo-server", ["--print-config"])
            launch.redirections = redirection
            let result = try Program.run(launch)
            #expect(result.exit == .status(71))
            #expect(result.error == "echo-server: cannot write to standard output: \(error)\n")
        }

        @Test func `as many workers as there are processors on which the server may run is auto`() throws {
            var launch = try Program.built("echo-server", ["--workers", "auto", "--print-config"])
            // The first of those on which it may run now.
            launch.setup = "taskset -cp $(taskset -cp $$ | sed 's/.*: //; s/[-,].*//') $$ >&2"
            try #expect(Program.run(launch).output.contains("workers = 1  # --workers\n"))
        }

        @Test func `the configuration is printed with the origin of each value`() throws {
            try withTemporaryPath("settings") { path in
                try write("port = 7\nhost = ::1\n", to: path)
                var launch = try Program.built("echo-server", ["--config", path, "--print-config", "--port", "9"])
                launch.environment["ECHO_SERVER_MODEL"] = "thread"
                let result = try Program.run(launch)
                #expect(result.exit == .status(0))
                #expect(result.error == "")
                for line in [
                    "port = 9  # --port", "host = ::1  # \(path):2", "model = thread  # ECHO_SERVER_MODEL",
                    "transform = upper  # default",
                ] {
                    #expect(result.output.split(separator: "\n").contains { $0 == line })
                }
            }
        }
    }
}
