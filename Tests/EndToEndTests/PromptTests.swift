import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client` at a terminal.
    @Suite(.serialized, .enabled(if: (try? Terminal())?.close() != nil, "no terminals here"))
    struct PromptTests {
        private func atTerminal(_ server: Server, _ body: (Terminal, Program) throws -> Void) throws {
            let terminal = try Terminal()
            defer { terminal.close() }
            var launch = try Program.built("echo-client", ["127.0.0.1", "\(server.port)"])
            launch.terminal = terminal.descriptor
            let program = try Program(launch)
            defer { program.end() }
            try body(terminal, program)
        }

        @Test func `answers appear between prompts, and Ctrl-D ends it with status 0`() throws {
            try withServer { server in
                try atTerminal(server) { terminal, program in
                    try terminal.waitForScreen(">>: ")
                    try terminal.type("hello, wörld\n")
                    try terminal.waitForScreen(">>: hello, wörld\r\nHELLO, WöRLD\r\n>>: ")
                    try terminal.type("\n")
                    try terminal.waitForScreen(">>: hello, wörld\r\nHELLO, WöRLD\r\n>>: \r\n\r\n>>: ")
                    try terminal.type("\u{4}")
                    try #expect(program.waitForExit() == .status(0))
                    try terminal.waitForScreen(">>: hello, wörld\r\nHELLO, WöRLD\r\n>>: \r\n\r\n>>: \r\n")
                }
            }
        }

        @Test func `what is sent in the middle of a line is answered on a line of its own`() throws {
            try withServer { server in
                try atTerminal(server) { terminal, program in
                    try terminal.waitForScreen(">>: ")
                    try terminal.type("half\u{4}")
                    try terminal.waitForScreen(">>: halfHALF\r\n>>: ")
                    try terminal.type("\u{4}")
                    try #expect(program.waitForExit() == .status(0))
                }
            }
        }

        @Test func `when the service ends, the prompt ends with status 1`() throws {
            let server = try Server.start()
            defer { server.program.end() }
            try atTerminal(server) { terminal, program in
                try terminal.waitForScreen(">>: ")
                // An answer shows that the connection has been accepted: else its end would be a reset.
                try terminal.type("x\n")
                try terminal.waitForScreen(">>: x\r\nX\r\n>>: ")
                server.program.send(SIGKILL)
                try #expect(program.waitForExit() == .status(1))
                try terminal.waitForScreen(
                    ">>: x\r\nX\r\n>>: \r\necho-client: \(server.address) ended the stream before the end of the input\r\n"
                )
            }
        }
    }
}
