import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// What the server logs about itself, and what happens when it can't.
    @Suite(.serialized) struct LogTests {
        @Test(arguments: ServerModel.all)
        func `the first log line has the address, the model and the transform`(model: ServerModel) throws {
            try withServer(model, ["--transform", "echo"]) { server in
                let first = try #require(server.program.standardError.lines.first)
                let expected =
                    "listening on \(server.address) model=\(model.kind) pid=\(server.program.pid) "
                #expect(first.contains(expected))
                #expect(first.contains(" notice ") && first.contains(" transform=echo"))
            }
        }

        @Test func `in a pipe the log is JSON by default`() throws {
            try withServer(.green, ["--log-format", "auto"]) { server in
                let first = try #require(server.program.standardError.lines.first)
                #expect(first.hasPrefix(#"{"ts":""#) && first.hasSuffix(#""transform":"upper"}"#))
                #expect(
                    first.contains(
                        #"","level":"notice","msg":"listening on \#(server.address)","address":"\#(server.address)","model":"green","#
                    ))
            }
        }

        @Test func `USR1 logs the green threads and what they wait for, and the service continues`() throws {
            try withServer { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                for round in 1...3 {
                    server.program.send(SIGUSR1)
                    try server.program.waitOnHub(forLineContaining: "green threads:", count: round)
                }
                try client.expect("STILL THERE", to: "still there")
                let lines = server.program.standardError.lines
                for (part, wait) in [
                    ("(main)", "waits for a signal"), ("(accept \(server.address))", "to be readable"),
                    ("(state on USR1)", "running"), ("green thread", "to be readable"),
                ] {
                    #expect(lines.contains { $0.contains(part) && $0.contains(wait) }, "\(part): \(lines)")
                }
            }
        }

        @Test(arguments: [("notice", true), ("warning", false), ("critical", false)])
        func `lines below the log level are left out`(level: String, isShown: Bool) throws {
            try withTemporaryPath { path in
                let program = try Program(Server.launch(.green, ["--unix-socket", path, "--log-level", level]))
                defer { program.end() }
                try onHub { try Server.waitUntilItAnswers(at: .unix(path: path)) }
                program.send(SIGTERM)
                try #expect(program.waitForExit() == .status(0))
                #expect(program.standardError.textToEnd().contains("listening on") == isShown)
                #expect(program.standardError.text.isEmpty != isShown)
            }
        }

        // MARK: Without a reader

        @Test(arguments: ServerModel.all, ["2>&-", "<&- >&- 2>&-"])
        func `with standard streams closed the server serves, and the log reaches no client`(
            model: ServerModel, redirections: String
        ) throws {
            try withTemporaryPath { path in
                let program = try Program(
                    Server.launch(model, ["--unix-socket", path, "--log-level", "debug"]) {
                        $0.redirections = redirections
                    })
                defer { program.end() }
                try onHub { try talkDuringDumps(program, at: .unix(path: path)) }
                program.send(SIGTERM)
                try #expect(program.waitForExit() == .status(0))
            }
        }

        private func talkDuringDumps(_ program: Program, at address: SocketAddress) throws {
            try Server.waitUntilItAnswers(at: address)
            try inParallel(20) { number in
                let client = try Connection.connect(to: address)
                defer { client.close() }
                for line in 0..<20 {
                    program.send(SIGUSR1)
                    try client.expect("CLIENT \(number), LINE \(line)", to: "client \(number), line \(line)")
                }
                try client.shutdownSending()
                try #expect(client.receiveToEnd().isEmpty)
            }
        }

        @Test(arguments: ServerModel.all)
        func `with an unread log the server serves, and later logs how many lines were lost`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--log-level", "trace"]) { server in
                let client = try server.connect()
                // Each message costs a line of the log, and a pipe holds some hundreds of lines.
                for number in 0..<2000 { try client.expect("LINE \(number)", to: "line \(number)") }
                let whatFits = server.program.standardError.lines
                #expect(whatFits.count < 2000)
                try client.expect("ONE MORE", to: "one more")
                let line = try server.program.waitOnHub(forLineContaining: "one more")
                let count = line.split(separator: " ").last.flatMap { $0.split(separator: "=").last }.flatMap {
                    Int($0)
                }
                #expect(line.contains(" dropped_lines="))
                #expect(whatFits.count { $0.contains(" trace ") } + (count ?? 0) == 2000)
                client.close()
            }
        }

        @Test(arguments: ServerModel.all)
        func `with the reader of its log gone, the server serves`(model: ServerModel) throws {
            let server = try Server.start(model, ["--log-level", "debug"])
            defer { server.program.end() }
            server.program.standardError.close()
            try onHub {
                for number in 0..<20 {
                    server.program.send(SIGUSR1)
                    try #expect(server.answer(to: "line \(number)") == "LINE \(number)")
                }
            }
            server.program.send(SIGTERM)
            try #expect(server.program.waitForExit() == .status(0))
        }
    }
}
