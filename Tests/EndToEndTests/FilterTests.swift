import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client` with its input and output redirected.
    @Suite(.serialized) struct FilterTests {
        private static let count = 16 << 20

        private static func launch(
            _ arguments: [String], adjust: (inout Program.Launch) -> Void = { _ in }
        ) throws -> Program.Launch {
            var launch = try Program.built("echo-client", arguments)
            adjust(&launch)
            return launch
        }

        private static func arguments(for server: Server) throws -> [String] { ["127.0.0.1", "\(try server.port)"] }

        @Test func `a file comes back exactly`() throws {
            try withTemporaryPath("input") { input in
                try RandomStream.upper.write(FilterTests.count, to: input)
                try withTemporaryPath("output") { output in
                    try withServer { server in
                        let result = try Program.run(
                            FilterTests.launch(FilterTests.arguments(for: server)) {
                                $0.redirections = "<'\(input)' >'\(output)'"
                            }, within: .seconds(20))
                        #expect(result.exit == .status(0))
                        #expect(result.error == "")
                        try RandomStream.upper.expectAnswer(FilterTests.count, in: output)
                    }
                }
            }
        }

        @Test func `input from a pipe is written to a pipe exactly`() throws {
            try withServer { server in
                let source = try Source(FilterTests.count, of: .upper)
                let launch = try FilterTests.launch(FilterTests.arguments(for: server)) { $0.input = source.reading }
                let program = try Program(launch)
                defer { program.end() }
                source.closeReading()
                try #expect(program.waitForExit(within: .seconds(20)) == .status(0))
                let output = program.standardOutput.bytesToEnd()
                #expect(output.count == FilterTests.count)
                try output.withUnsafeBytes { try RandomStream.upper.check($0, at: 0) }
                try source.finish()
            }
        }

        @Test func `answers are written while more input is to come`() throws {
            try withServer { server in
                var ends: [Int32] = [-1, -1]
                try #require(pipe(&ends) == 0)
                let launch = try FilterTests.launch(FilterTests.arguments(for: server)) { $0.input = ends[0] }
                let program = try Program(launch)
                defer { program.end() }
                close(ends[0])
                for number in 0..<10 {
                    let line = "line \(number)\n"
                    try #require(write(ends[1], line, line.utf8.count) == line.utf8.count)
                    #expect(
                        program.standardOutput.waitForLine(containing: "LINE \(number)", within: .seconds(5)) != nil)
                }
                close(ends[1])
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test func `no input gives no output and status 0`() throws {
            try withServer { server in
                let result = try Program.run(FilterTests.launch(FilterTests.arguments(for: server)))
                #expect(result == (.status(0), "", ""))
            }
        }

        @Test func `the client talks over a unix socket`() throws {
            try withTemporaryPath { path in
                try withServer(.green, ["--unix-socket", path]) { _ in
                    let launch = Program.Launch(
                        "/bin/sh",
                        [
                            "-c", #"printf 'hello, world' | "$0" --unix-socket "$1""#,
                            try Program.built("echo-client").path, path,
                        ])
                    try #expect(Program.run(launch) == (.status(0), "HELLO, WORLD", ""))
                }
            }
        }

        // MARK: Failures

        @Test func `without a listener the client exits with status 1 and one line with the address`() throws {
            try onHub {
                let port = try FakeService.unusedPort()
                let result = try Program.run(FilterTests.launch(["127.0.0.1", port]))
                #expect(result.exit == .status(1))
                #expect(
                    result.error
                        == "echo-client: cannot connect to 127.0.0.1:\(port): connection refused (ECONNREFUSED)\n")
            }
        }

        @Test func `if answers are missing the client writes those that came and exits with status 1`() throws {
            try withTemporaryPath("input") { input in
                try RandomStream.echo.write(1000, to: input)
                try onHub {
                    try FakeService.with { connection in
                        let bytes = try connection.receive(exactly: 1000)
                        try connection.sendAll([UInt8](bytes.prefix(600)))
                    } _: { port in
                        let program = try Program(
                            FilterTests.launch(["127.0.0.1", port]) { $0.redirections = "<'\(input)'" })
                        defer { program.end() }
                        try #expect(program.waitForExitOnHub() == .status(1))
                        #expect(program.standardOutput.bytesToEnd() == RandomStream.echo.bytes(0, 600))
                        #expect(
                            program.standardError.textToEnd()
                                == "echo-client: 127.0.0.1:\(port) ended the stream after 600 of 1000 bytes\n")
                    }
                }
            }
        }

        @Test(arguments: [
            (0, "did not answer within 0.5 seconds"), (2, "answered 2 of 5 bytes, and no more within 0.5 seconds"),
            (5, "answered all 5 bytes, but did not end the stream within 0.5 seconds"),
        ])
        func `a stalled service is waited for until the timeout and no longer`(
            count: Int, message: String
        ) throws {
            try withTemporaryPath("input") { input in
                try RandomStream.echo.write(5, to: input)
                try onHub {
                    try FakeService.with { connection in
                        try connection.sendAll([UInt8](connection.receive(exactly: 5).prefix(count)))
                        try Greenlet.sleep(for: .seconds(60))
                    } _: { port in
                        let start = Deadline.now
                        let program = try Program(
                            FilterTests.launch(["127.0.0.1", port, "--timeout", "0.5"]) {
                                $0.redirections = "<'\(input)'"
                            })
                        defer { program.end() }
                        try #expect(program.waitForExitOnHub() == .status(1))
                        #expect(Deadline.now - start >= .milliseconds(500))
                        #expect(program.standardOutput.bytesToEnd() == RandomStream.echo.bytes(0, count))
                        #expect(program.standardError.textToEnd() == "echo-client: 127.0.0.1:\(port) \(message)\n")
                    }
                }
            }
        }

        @Test func `while no answer is owed, input may come at any time`() throws {
            try withServer { server in
                var ends: [Int32] = [-1, -1]
                try #require(pipe(&ends) == 0)
                let arguments = try FilterTests.arguments(for: server) + ["--timeout", "0.2"]
                let program = try Program(FilterTests.launch(arguments) { $0.input = ends[0] })
                defer { program.end() }
                close(ends[0])
                for line in ["early\n", "late\n"] {
                    // The pause is longer than the time limit, which must not matter.
                    #expect(!eventually(within: .milliseconds(500)) { program.hasEnded })
                    try #require(write(ends[1], line, line.utf8.count) == line.utf8.count)
                    #expect(
                        program.standardOutput.waitForLine(
                            containing: line.dropLast().uppercased(), within: .seconds(10)) != nil)
                }
                close(ends[1])
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test func `if the service resets, the client exits with status 1`() throws {
            try withTemporaryPath("input") { input in
                try RandomStream.echo.write(FilterTests.count, to: input)
                try onHub {
                    try FakeService.with { connection in
                        // The unread rest turns the close into a reset.
                        try connection.sendAll(connection.receive(exactly: 1000))
                    } _: { port in
                        let program = try Program(
                            FilterTests.launch(["127.0.0.1", port]) { $0.redirections = "<'\(input)'" })
                        defer { program.end() }
                        try #expect(program.waitForExitOnHub() == .status(1))
                        let error = program.standardError.textToEnd()
                        #expect(error.hasPrefix("echo-client: 127.0.0.1:\(port) ended the stream after "))
                        #expect(error.split(separator: "\n").count == 1)
                    }
                }
            }
        }

        @Test func `if more bytes come back than were sent, the client exits with status 1`() throws {
            try onHub {
                try FakeService.with { connection in
                    try connection.sendAll(Array("who asked?".utf8))
                } _: { port in
                    let program = try Program(FilterTests.launch(["127.0.0.1", port]))
                    defer { program.end() }
                    try #expect(program.waitForExitOnHub() == .status(1))
                    #expect(
                        program.standardError.textToEnd() == "echo-client: 127.0.0.1:\(port) returned 10 bytes for 0\n"
                    )
                }
            }
        }

        @Test func `if the reader of its output is gone, the client ends as other filters do`() throws {
            try withTemporaryPath("input") { input in
                try RandomStream.echo.write(FilterTests.count, to: input)
                try withServer { server in
                    let program = try Program(
                        FilterTests.launch(FilterTests.arguments(for: server)) { $0.redirections = "<'\(input)'" })
                    defer { program.end() }
                    program.standardOutput.close()
                    try #expect(program.waitForExit() == .signal(SIGPIPE))
                    #expect(program.standardError.textToEnd() == "")
                }
            }
        }

        @Test(arguments: [["--no-such-option"], ["127.0.0.1", "70000"], ["--timeout", "soon"]])
        func `a bad option ends it with status 64`(arguments: [String]) throws {
            let result = try Program.run(FilterTests.launch(arguments))
            #expect(result.exit == .status(64))
            #expect(result.output == "")
            #expect(result.error.contains(arguments.last!))
        }

        @Test(arguments: [["--help"], ["--version"], ["help", "ping"]])
        func `help and version go to standard output, with status 0`(arguments: [String]) throws {
            let result = try Program.run(FilterTests.launch(arguments))
            #expect(result.exit == .status(0))
            #expect(result.output.contains("echo-client"))
            #expect(result.error == "")
        }
    }
}

/// Writes into a pipe, on an OS thread of its own.
private final class Source: Sendable {
    let reading: Int32
    private let writer: TestThread<Void>

    init(_ count: Int, of stream: RandomStream) throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let writing = ends[1]
        reading = ends[0]
        writer = TestThread {
            defer { close(writing) }
            try stream.write(count, to: writing)
        }
    }

    func closeReading() { close(reading) }
    func finish() throws { try writer.value() }
}

extension RandomStream {
    func write(_ count: Int, to path: String) throws {
        let file = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
        defer { close(file) }
        try write(count, to: file)
    }

    fileprivate func write(_ count: Int, to descriptor: Int32) throws {
        var written = 0
        while written < count {
            let result = withBytes(written, min(count - written, RandomStream.longestPiece)) {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if result < 0 { throw Unexpected("write: \(SystemError(errno))") }
            written += result
        }
    }

    /// Throws if the file at `path` is not the answer to `count` bytes.
    fileprivate func expectAnswer(_ count: Int, in path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var (position, buffer) = (0, [UInt8](repeating: 0, count: 65_536))
        while true {
            let result = read(file, &buffer, buffer.count)
            if result <= 0 { break }
            try buffer.withUnsafeBytes { try check(UnsafeRawBufferPointer(rebasing: $0[..<result]), at: position) }
            position += result
        }
        if position != count { throw Unexpected("\(position) bytes came back, \(count) were sent") }
    }
}
