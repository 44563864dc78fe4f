import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Unusual starts of the programs: odd arguments, signals that the parent has changed, and a system that lacks something.
    @Suite(.serialized) struct StartTests {
        // MARK: Without /proc

        /// Starts the program with an empty directory mounted over /proc.
        private static func hideProc(_ launch: inout Program.Launch) {
            let script = #"mount -t tmpfs none /proc && exec "$0" "$@""#
            (launch.path, launch.arguments) = (
                "/usr/bin/env", ["unshare", "--mount", "/bin/sh", "-c", script, launch.path] + launch.arguments
            )
        }

        private static func launchWithoutProc(_ name: String, _ arguments: [String]) throws -> Program.Launch {
            var launch = try Program.built(name, arguments)
            hideProc(&launch)
            return launch
        }

        private static let canHideProc: Bool = {
            var launch = Program.Launch("/bin/sh", ["-c", "! ls /proc/self"])
            hideProc(&launch)
            return Sanitizer.active == .none && (try? Program.run(launch))?.exit == .status(0)
        }()

        /// A fork server is found by procfs.
        @Test(.enabled(if: canHideProc, "only root can hide /proc"), arguments: ServerModel.withoutForkServer)
        func `without procfs the server obeys its options`(model: ServerModel) throws {
            try withServer(model, ["--transform", "echo"], adjust: StartTests.hideProc) { server in
                #expect(server.address.port != 8080)
                try #expect(server.answer(to: "as it is") == "as it is")
                server.program.send(SIGUSR1)
                try server.program.waitOnHub(forLineContaining: " notice state ")
            }
        }

        @Test(
            .enabled(if: canHideProc, "only root can hide /proc"),
            arguments: [("echo-server", ["--port", "7777", "--nonsense"]), ("echo-client", ["ping", "--nonsense"])])
        func `without procfs an invalid option is refused as usual`(name: String, arguments: [String]) throws {
            let result = try Program.run(StartTests.launchWithoutProc(name, arguments))
            #expect(result.exit == .status(64))
            #expect(result.error.contains("--nonsense"))
        }

        @Test(.enabled(if: canHideProc, "only root can hide /proc"))
        func `without procfs the client pings and loads, and says what it cannot measure`() throws {
            try withServer { server in
                let place = ["127.0.0.1", "\(try server.port)"]
                func run(_ arguments: [String]) throws -> (exit: Program.Exit, output: String, error: String) {
                    let program = try Program(StartTests.launchWithoutProc("echo-client", arguments))
                    defer { program.end() }
                    let exit = try program.waitForExitOnHub()
                    return (exit, program.standardOutput.textToEnd(), program.standardError.textToEnd())
                }
                let ping = try run(["ping"] + place)
                #expect(ping.exit == .status(0), "\(ping.error)")
                #expect(ping.output.contains(" answered in "))
                let load = try run(["load"] + place + ["-c", "2", "--processes", "2", "--messages", "20"])
                #expect(load.exit == .status(0), "\(load.error)")
                for command in ["compare", "workload"] {
                    let result = try run([command])
                    #expect(result.exit == .status(1))
                    #expect(result.error.hasPrefix("echo-client: cannot read /proc, "), "\(result.error)")
                }
            }
        }

        // MARK: Bytes that are not text

        /// Runs the program by a shell with `script`, which executes it by `exec "$0"`.
        private static func run(
            _ name: String, _ script: String
        ) throws -> (exit: Program.Exit, output: String, error: String) {
            try Program.run(Program.Launch("/bin/sh", ["-c", script, Program.built(name).path]))
        }

        @Test(arguments: [
            ("echo-server", "--unix-socket"), ("echo-server", "--config"), ("echo-client", "ping --unix-socket"),
        ])
        func `an argument that is not UTF-8 is refused, and shown`(name: String, option: String) throws {
            let result = try StartTests.run(name, #"exec "$0" \#(option) "$(printf '/tmp/\377.sock')""#)
            let number = option.split(separator: " ").count + 1
            #expect(result.exit == .status(64))
            #expect(result.error == "\(name): argument \(number), '/tmp/\\xff.sock', is not UTF-8\n")
        }

        @Test(arguments: ["UNIX_SOCKET", "CONFIG", "HOST"])
        func `a variable that is not UTF-8 is refused, and shown`(name: String) throws {
            let script = #"ECHO_SERVER_\#(name)="$(printf '/tmp/\377.sock')" exec "$0" --check-config"#
            let result = try StartTests.run("echo-server", script)
            #expect(result.exit == .status(78))
            #expect(result.error == "echo-server: ECHO_SERVER_\(name): '/tmp/\\xff.sock' is not UTF-8\n")
        }

        @Test func `a path with control characters is served as it is, and shown escaped`() throws {
            try withTemporaryPath("so\u{1b}[31mck\net") { path in
                let program = try Program(
                    Program.built("echo-server", ["--unix-socket", path, "--log-format", "text"]))
                defer { program.end() }
                try program.waitForLine(containing: #"so\u{1b}[31mck\net"#)
                let ping = try Program.run(Program.built("echo-client", ["ping", "--unix-socket", path]))
                #expect(ping.exit == .status(0))
                #expect(ping.output.contains(#"/so\u{1b}[31mck\net answered in "#))
                program.send(SIGTERM)
                #expect(try program.waitForExit() == .status(0))
                #expect(!program.standardError.textToEnd().contains("\u{1b}"))
                let gone = try Program.run(Program.built("echo-client", ["ping", "--unix-socket", path]))
                #expect(gone.error.contains(#"/so\u{1b}[31mck\net: no such file or directory (ENOENT)"#))
            }
        }

        @Test(
            arguments: [
                ("echo-server", ["--port", "7\u{1b}[31m\n7"], 64), ("echo-server", ["--pört\u{1b}[31m\n=7"], 64),
                ("echo-server", ["--config", "/no\u{1b}[31m\n7"], 78),
                ("echo-client", ["ping", "::1", "7\u{1b}[31m\n7"], 64),
                ("echo-client", ["ping", "--transform=7\u{1b}[31m\n7"], 64),
                ("echo-client", ["load", "no\u{1b}[31m\n7"], 64),
            ] as [(String, [String], Int32)])
        func `a message about an invalid value sends no control characters to a terminal`(
            name: String, arguments: [String], status: Int32
        ) throws {
            let result = try Program.run(Program.built(name, arguments))
            #expect(result.exit == .status(status))
            #expect(result.error.lowercased().contains(#"\u{1b}[31m\n"#), "\(result.error)")
            #expect(!result.error.unicodeScalars.contains("\u{1b}"))
        }

        @Test func `a message about a file with control characters sends none to a terminal`() throws {
            try withTemporaryPath("settings") { path in
                try write("port = \u{1b}[31mred\u{9b}2J\n", to: path)
                let result = try Program.run(Program.built("echo-server", ["--config", path]))
                #expect(result.exit == .status(78))
                #expect(result.error.contains(#"'\u{1b}[31mred\u{9b}2J' is not "#), "\(result.error)")
            }
        }

        // MARK: Standard input

        private func configured(by text: String, _ arguments: [String]) throws -> Program.Launch {
            var launch = try Program.built("echo-server", ["--config", "-"] + arguments)
            launch.setup = "exec <<END\n\(text)\nEND\ntrue"
            return launch
        }

        @Test func `a configuration from standard input is read to its end`() throws {
            let printed = try Program.run(configured(by: "# ours\nport = 7", ["--print-config"]))
            #expect(printed.exit == .status(0))
            #expect(printed.output.contains("port = 7  # standard input:2\n"))
            let checked = try Program.run(configured(by: "prot = 7", ["--check-config"]))
            #expect(checked.exit == .status(78))
            #expect(
                checked.error
                    == "echo-server: standard input:1: unknown setting 'prot'; did you mean 'port'?\n")
            let closed = try StartTests.run("echo-server", #"exec "$0" --config - --check-config <&-"#)
            #expect(closed.exit == .status(78))
            #expect(closed.error == "echo-server: cannot read standard input: bad file descriptor (EBADF)\n")
            let inetd = try Program.run(configured(by: "port = 7", ["--inetd", "--check-config"]))
            #expect(inetd.exit == .status(64))
            #expect(inetd.error.contains("with --inetd is the client's connection"))
        }

        @Test func `standard input is not read again, and the settings stay`() throws {
            let launch = try configured(by: "port = 0\ntransform = echo\nlog-format = text", [])
            try withServer(adjust: { $0 = launch }) { server in
                try #expect(server.answer(to: "as it is") == "as it is")
                server.program.send(SIGHUP)
                let line = try server.program.waitOnHub(forLineContaining: "not reloaded")
                #expect(line.contains("standard input, which cannot be read again"))
                try #expect(server.answer(to: "still so") == "still so")
            }
        }

        // MARK: Variables

        @Test func `a misspelt variable gets a warning with the name that was meant`() throws {
            try withServer(adjust: { $0.environment = ["ECHO_SERVER_PROT": "7", "ECHO_SERVER_TRANSFORM": "echo"] }) {
                server in
                try #expect(server.answer(to: "as it is") == "as it is")
                let lines = server.program.standardError.lines.filter { $0.contains(" warning ") }
                #expect(lines.count == 1)
                let line = try #require(lines.first)
                let fields = "nearest=ECHO_SERVER_PORT variable=ECHO_SERVER_PROT"
                #expect(line.hasSuffix(" warning unknown variable in the environment \(fields)"))
            }
            for option in ["--check-config", "--print-config"] {
                var launch = try Program.built("echo-server", [option])
                launch.environment = ["ECHO_SERVER_PROT": "7"]
                let result = try Program.run(launch)
                #expect(result.exit == .status(0))
                #expect(
                    result.error
                        == "echo-server: warning: unknown variable ECHO_SERVER_PROT; did you mean ECHO_SERVER_PORT?\n")
            }
        }

        // MARK: Signals

        /// How a parent may have changed every signal that it can change.
        enum Inheritance: String, CaseIterable {
            case blocked = "--block-signal"
            case ignored = "--ignore-signal"

            func adjust(_ launch: inout Program.Launch) {
                (launch.path, launch.arguments) = ("/usr/bin/env", [rawValue, launch.path] + launch.arguments)
            }
        }

        private static let envKnowsSignals =
            (try? Program.run(.init("/usr/bin/env", ["--block-signal", "true"])))?.exit == .status(0)

        @Test(
            .enabled(if: envKnowsSignals, "env(1) can't block signals here"), arguments: ServerModel.all,
            Inheritance.allCases)
        func `the server handles its signals even if its parent blocked or ignored them, and TERM ends it with 0`(
            model: ServerModel, inheritance: Inheritance
        ) throws {
            try withServer(model, ["--drain-timeout", "0.1"], adjust: inheritance.adjust) { server in
                try #expect(server.answer(to: "hello") == "HELLO")
                server.program.send(SIGUSR1)
                try server.program.waitOnHub(forLineContaining: " notice state ")
                server.program.send(SIGHUP)
                try server.program.waitOnHub(forLineContaining: "settings reloaded")
                // The client is disconnected at the drain timeout; a parent ends its child processes with signals for that.
                let client = try server.connect()
                defer { client.close() }
                try client.expect("STILL HERE", to: "still here")
                server.program.send(SIGTERM)
                try #expect(client.receive() == nil)
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        @Test(.enabled(if: envKnowsSignals, "env(1) can't block signals here"), arguments: Inheritance.allCases)
        func `TERM ends inetd mode with 0 even if its parent blocked or ignored signals`(
            inheritance: Inheritance
        ) throws {
            try withInetdServer(inheritance, ["--drain-timeout", "0.1"]) { client, program in
                try client.expect("HELLO", to: "hello")
                program.send(SIGTERM)
                try #expect(client.receive() == nil)
                try #expect(program.waitForExitOnHub() == .status(0))
            }
        }

        @Test func `inetd mode outlives the reader of its log`() throws {
            try withInetdServer(nil, ["--log-level", "debug", "--idle-timeout", "0.1"]) { client, program in
                program.standardError.close()
                try #expect(client.receive() == nil)
                try #expect(program.waitForExitOnHub() == .status(0))
            }
        }

        private func withInetdServer(
            _ inheritance: Inheritance?, _ arguments: [String],
            _ body: @escaping @Sendable (Connection, Program) throws -> Void
        ) throws {
            let listener = try ListeningSocket(on: SocketAddress(ip: "127.0.0.1", port: 0)!, backlog: 1)
            defer { listener.close() }
            try onHub {
                let client = try Connection.connect(to: listener.address)
                defer { client.close() }
                let accepted = Glibc.accept(listener.descriptor, nil, nil)
                var launch = try Program.built("echo-server", ["--inetd"] + arguments)
                launch.input = accepted
                inheritance?.adjust(&launch)
                let started = Result { try Program(launch) }
                // Else the client would not see the end of the connection.
                close(accepted)
                let program = try started.get()
                defer { program.end() }
                try body(client, program)
            }
        }

        @Test(.enabled(if: envKnowsSignals, "env(1) can't block signals here"), arguments: Inheritance.allCases)
        func `load ends by signals, and TERM ends the client, even if the parent blocked or ignored them`(
            inheritance: Inheritance
        ) throws {
            try withServer { server in
                var ends: [Int32] = [-1, -1]
                try #require(pipe(&ends) == 0)
                for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                defer { for end in ends { close(end) } }
                func start(_ command: String, _ arguments: String...) throws -> Program {
                    var launch = try Program.built(
                        "echo-client", [command, "127.0.0.1", "\(server.port)"] + arguments)
                    launch.input = ends[0]
                    inheritance.adjust(&launch)
                    return try Program(launch)
                }
                let load = try start("load", "-c", "2", "--processes", "2", "--messages", "20")
                defer { load.end() }
                try #expect(load.waitForExitOnHub() == .status(0))
                let endless = try start("load", "-c", "2", "--duration", "60")
                defer { endless.end() }
                try #expect(eventuallyOnHub { try server.clients == 2 })
                endless.send(SIGTERM)
                try #expect(endless.waitForExitOnHub() == .status(143))
                let talk = try start("talk")
                defer { talk.end() }
                try #expect(eventuallyOnHub { try server.clients == 1 })
                talk.send(SIGTERM)
                try #expect(talk.waitForExitOnHub() == .signal(SIGTERM))
            }
        }
    }
}

extension Server {
    /// The number of clients, for a server that has a descriptor for each.
    fileprivate var clients: Int { get throws { try program.status().descriptors - idle.root.descriptors } }
}
