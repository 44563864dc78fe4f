import Glibc
import GreenNet
import TestSupport
import Testing

/// The programs of the course, with the figures that it prints.
@Suite(.serialized) struct CourseTests {
    /// Runs a program that ends by itself with status 0, and returns the lines that it has printed.
    private func lines(of name: String, _ arguments: [String] = []) throws -> [String] {
        let result = try Program.run(Program.built(name, arguments), within: .seconds(30))
        #expect(result.exit == .status(0) && result.error == "", "\(result)")
        return result.output.split(separator: "\n").map(String.init)
    }

    /// Runs a program that can't do what it was asked, and returns what it says.
    private func complaint(of name: String, _ arguments: [String], status: Int32) throws -> String {
        let result = try Program.run(Program.built(name, arguments), within: .seconds(30))
        #expect(result.exit == .status(status), "\(result)")
        return result.error
    }

    private func withUppercaseServer(_ body: (Program, UInt16) throws -> Void) throws {
        let server = try Program(Program.built("UppercaseServer", ["0"]))
        defer { server.end() }
        let line = server.standardOutput.waitForLine(containing: "listening on ", within: .seconds(20))
        let port = try #require(line?.split(separator: ":").last)
        try body(server, #require(UInt16(port)))
        server.send(SIGTERM)
        try #expect(server.waitForExit() == .status(0))
    }

    // MARK: Servers

    @Test func `each client of the upper-case server has its answer, and the terminal sees no control characters`()
        throws
    {
        try withUppercaseServer { server, port in
            try onHub {
                let clients = try (1...6).map { _ in try Connection.connect(to: .loopback(port: port)) }
                for (number, client) in clients.enumerated() {
                    try client.sendAll("hello \(number) \u{1B}[31m")
                    let answer = try client.receive(exactly: 13, until: .after(.seconds(10)))
                    #expect(String(decoding: answer, as: UTF8.self) == "HELLO \(number) \u{1B}[31M")
                }
                for client in clients { client.close() }
            }
            #expect(server.standardOutput.text.contains(#"msg: "hello 5 \u{1B}[31m""#))
            #expect(!server.standardOutput.text.contains("\u{1B}"))
        }
    }

    @Test func `an upper-case server whose clients have left uses no processor time`() throws {
        try withUppercaseServer { server, port in
            let status = { try #require(ProcessStatus(server.pid)) }
            let idle = try status().descriptors
            try onHub {
                let client = try Connection.connect(to: .loopback(port: port))
                try client.sendAll("hello")
                try #expect(client.receive(exactly: 5, until: .after(.seconds(10))) == Array("HELLO".utf8))
                client.close()
            }
            #expect(try eventually(within: .seconds(10)) { try status().descriptors == idle })
            let before = try status().processorTime
            // A server that spins would use all of it.
            try onHub { try Greenlet.sleep(for: .milliseconds(300)) }
            try #expect(status().processorTime - before < .milliseconds(150))
        }
    }

    @Test(arguments: [([String](), "5,000 answers, 0 wrong"), (["1"], "10 answers, 0 wrong")])
    func `each client has ten answers, and none is wrong`(count: [String], last: String) throws {
        try withUppercaseServer { server, port in
            let clients = try Program(Program.built("SayHello", ["\(port)"] + count))
            defer { clients.end() }
            // The server prints a line for each message, and waits where the pipe is full.
            let hasEnded = eventually(within: .seconds(30)) {
                server.standardOutput.collect()
                return clients.standardOutput.text.contains("wrong")
            }
            #expect(hasEnded)
            try #expect(clients.waitForExit() == .status(0))
            #expect(clients.standardOutput.lines.last == last)
        }
    }

    // MARK: Waiting

    @Test func `of ten answers one comes first, four within a second, and five later`() throws {
        let tasks = (1...9).map { "Task \($0) done" }
        try #expect(
            lines(of: "FirstAnswers")
                == ["first: 1", "within a second: 4", "the rest: 5"] + tasks
                + ["one after the other: 4.5 s", "all at once: 0.5 s"])
    }

    @Test func `a deadlock is told by name, and those that take their locks in one order all end`() throws {
        try #expect(
            lines(of: "Deadlock") == [
                "one has A", "two has B", "one has A and B",
                "deadlock: green thread 3 (two) waits for a lock of green thread 2 (one), which waits for a lock of the first",
                "10 had both locks",
            ])
    }

    @Test func `the hider and the seeker speak in turn`() throws {
        try #expect(
            lines(of: "HideAndSeek") == [
                "seeker: my eyes are covered.", "hider: I am hidden, come and find me!", "seeker: I have found you!",
                "hider: you have found me.", "hider: now it is your turn to hide.",
            ])
    }

    @Test func `cars wait for green, and police cars for a second`() throws {
        let lines = try lines(of: "TrafficLights")
        #expect(lines.filter { $0.contains(": car ") }.allSatisfy { $0.contains("green") })
        #expect(lines.filter { $0.contains(": car ") }.count == 10)
        #expect(
            lines.filter { $0.contains("police") } == [
                "4 s: police car 1 goes on red after 1 s", "9 s: police car 2 goes on red after 1 s",
                "13 s: police car 3 goes on green after 0 s", "18 s: police car 4 goes on green after 0 s",
                "24 s: police car 5 goes on red after 1 s",
            ])
    }

    @Test func `workers begin when the service is there, and not before`() throws {
        let held = try onHub { try Listener(on: .loopback(port: 0)).address.port! }
        let program = try Program(Program.built("StartupGate", ["127.0.0.1", "\(held)"]))
        defer { program.end() }
        _ = try #require(program.standardOutput.waitForLine(containing: "attempt 2:", within: .seconds(20)))
        #expect(!program.standardOutput.text.contains("begins"))
        try onHub {
            let listener = try Listener(on: .loopback(port: held))
            defer { listener.close() }
            try #expect(program.waitForExit() == .status(0))
        }
        let begun = program.standardOutput.lines.filter { $0.contains("begins") }
        #expect(begun == (1...3).map { "worker \($0) begins" })
    }

    @Test func `a generator gives the averages, and another one jumps`() throws {
        try #expect(
            lines(of: "RunningAverage") == ["10.0", "15.0", "20.0", "3 values, sum 60.0, average 20.0", "0 2 3 2"])
    }

    // MARK: Threads and processes

    @Test func `ten squares come in their order, and each of fifty calls tells its end`() throws {
        try #expect(
            lines(of: "Squares") == [
                "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]", "never more than five at a time: true",
                "49 callbacks, from 100 to 149, and 1 failure",
            ])
    }

    @Test func `of a hundred buyers one has the ticket, though one has died with the lock`() throws {
        try #expect(
            lines(of: "Tickets") == [
                "a buyer died with the lock, and the others go on", "bought: 1", "not bought: 99", "left: 0",
            ])
    }

    @Test func `a process adds, dies at one question, and is replaced`() throws {
        try #expect(lines(of: "RPC") == ["30", "the server has died: signal 9", "3", "server done"])
    }

    @Test func `each green thread has a connection of its own, or ten are enough for a hundred`() throws {
        try #expect(
            lines(of: "LazyConnection") == [
                "three green threads with one each: 3 connections", "a hundred with a pool of ten: 10 connections",
            ])
    }

    // MARK: Mistakes

    @Test(arguments: [
        ("UppercaseServer", [], "usage: UppercaseServer PORT\n"),
        ("UppercaseServer", ["65536"], "PORT is \"65536\": expected a number from 0 to 65535\n"),
        ("SayHello", ["x"], "PORT is \"x\": expected a number from 1 to 65535\n"),
        ("SayHello", ["1", "0"], "CLIENTS is \"0\": expected a number from 1 to 10000\n"),
        ("StartupGate", ["localhost"], "usage: StartupGate HOST PORT\n"),
        ("ChatServer", ["x"], "PORT is \"x\": expected a number from 0 to 65535\n"),
        ("HTTPServer", ["-1"], "PORT is \"-1\": expected a number from 0 to 65535\n"),
        ("PortForwarder", ["1", "localhost"], "usage: PortForwarder PORT TARGET-HOST TARGET-PORT\n"),
        ("PortForwarder", ["1", "localhost", "0"], "TARGET-PORT is \"0\": expected a number from 1 to 65535\n"),
        ("SOCKSProxy", [], "usage: SOCKSProxy PORT\n"),
        ("RedisClient", ["0"], "PORT is \"0\": expected a number from 1 to 65535\n"),
        ("ThreeStages", [], "usage: ThreeStages FILE\n"),
        ("TaskIntake", ["localhost"], "usage: TaskIntake HOST PORT [own|hiredis [MILLISECONDS-OF-SILENCE]]\n"),
        ("TaskIntake", ["localhost", "1", "x"], "the client is \"x\": expected own or hiredis\n"),
        (
            "TaskIntake", ["localhost", "1", "own", "99"],
            "MILLISECONDS-OF-SILENCE is \"99\": expected a number from 100 to 3600000\n"
        ),
        ("Crawler", ["0", "http://localhost/"], "SECONDS is \"0\": expected a number from 1 to 3600\n"),
        ("Crawler", ["1", "ftp://x/"], "\"ftp://x/\" is no URL: expected http://HOST/PATH or https://HOST/PATH\n"),
        ("ImageDownloads", ["."], "usage: ImageDownloads [DIRECTORY URL...]\n"),
        (
            "ImageDownloads", [".", "http://x/a/c", "http://y/c"],
            "two files would be \"c\", one of them from http://x/a/c\n"
        ),
        ("Fleet", ["rsh", "1", "true", "localhost"], "the way is \"rsh\": expected ssh or libssh2\n"),
        ("Fleet", ["ssh", "1", "true", "a:0"], "\"a:0\" is no host: expected [USER@]HOST[:PORT]\n"),
        (
            "Fleet", ["ssh", "1", "true", "-oProxyCommand=x"],
            "\"-oProxyCommand=x\" is no host: expected [USER@]HOST[:PORT]\n"
        ),
    ])
    func `wrong arguments are told in one line`(name: String, words: [String], text: String) throws {
        try #expect(complaint(of: name, words, status: EX_USAGE) == text)
    }

    @Test func `a server that is not there is told in one line`() throws {
        let port = try onHub { try Listener(on: .loopback(port: 0)).address.port! }
        let calls = [
            ("SayHello", ["\(port)", "3"]), ("RedisClient", ["\(port)"]), ("TaskIntake", ["127.0.0.1", "\(port)"]),
        ]
        for (name, words) in calls {
            let text = try complaint(of: name, words, status: EX_UNAVAILABLE)
            #expect(text == "cannot connect to 127.0.0.1:\(port): connection refused (ECONNREFUSED)\n", "\(name)")
        }
    }

    @Test func `a port that is taken, and a file that can't be written, are told in one line`() throws {
        let text = try onHub {
            let listener = try Listener(on: .loopback(port: 0))
            defer { listener.close() }
            let port = "\(listener.address.port!)"
            for (name, words) in [
                ("UppercaseServer", [port]), ("ChatServer", [port]), ("HTTPServer", [port]), ("SOCKSProxy", [port]),
                ("PortForwarder", [port, "localhost", "1"]),
            ] {
                let result = try Program.run(Program.built(name, words))
                #expect(result.exit == .status(EX_UNAVAILABLE))
                #expect(result.error == "cannot bind 127.0.0.1:\(port): address already in use (EADDRINUSE)\n")
            }
            let stages = try ChildProcess.run(
                Program.built("ThreeStages").path, ["/proc/none"], input: Array("x\n".utf8))
            #expect(stages.exit == .status(EX_CANTCREAT))
            return String(decoding: stages.errorOutput, as: UTF8.self)
        }
        #expect(text == "cannot open /proc/none: no such file or directory (ENOENT)\n")
    }

    /// A program `ssh` of some lines is the first in PATH.
    @Test func `each host of a fleet is told, whether it answers, fails, hangs or is not there`() throws {
        try withTemporaryDirectory { directory in
            let script = """
                #!/bin/sh
                case "$*" in
                *" good uptime") echo up ;;
                *" bad uptime") echo down >&2; exit 3 ;;
                *" slow uptime") sleep 100 ;;
                *) echo "Could not resolve hostname" >&2; exit 255 ;;
                esac
                """
            try write(script + "\n", to: "\(directory)/ssh")
            chmod("\(directory)/ssh", 0o755)
            var launch = try Program.built("Fleet", ["ssh", "1", "uptime", "good", "admin@bad:2222", "slow", "none"])
            launch.environment["PATH"] = "\(directory):/usr/bin:/bin"
            let result = try Program.run(launch)
            #expect(result.exit == .status(EX_UNAVAILABLE) && result.error == "", "\(result)")
            for text in [
                "good: status 0\n    up\n", "admin@bad:2222: status 3\n    down\n",
                "slow: failed: timed out after 1 second\n",
                "none: status 255\n    Could not resolve hostname\n", "4 hosts, 3 failures\n",
            ] { #expect(result.output.contains(text), "\(text) is not in:\n\(result.output)") }
        }
    }
}
