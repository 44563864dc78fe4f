import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client load` against the server.
    @Suite(.serialized) struct LoadTests {
        private static func load(_ server: Server, _ arguments: String...) throws -> Load {
            try Load(["127.0.0.1", "\(server.port)"] + arguments)
        }

        @Test(arguments: ServerModel.all)
        func `a healthy server has all its bytes checked and is counted exactly`(model: ServerModel) throws {
            try withServer(model) { server in
                let load = try LoadTests.load(
                    server, "-c", "\(ServerModel.fewClients)", "--messages", "1003", "--depth", "3", "--size", "100")
                load.expectHealthy()
                #expect(load.number("messages") == 1003)
                #expect(load.number("bytes") == 100_300)
                #expect(load.number("opened") == Double(ServerModel.fewClients))
            }
        }

        @Test(arguments: [
            ["--size", "300000", "--depth", "3", "--messages", "30"],
            ["--mode", "bulk", "--messages", "50"],
            ["--mode", "churn", "--messages", "100"],
            ["--mode", "churn", "--messages", "10", "--size", "200000"],
            ["--rate", "2000", "--messages", "300"],
            ["--rate", "200", "--messages", "20", "--size", "300000"],
            ["--messages", "333", "--threads", "2", "--processes", "2"],
            ["--messages", "7", "-c", "20"],
        ])
        func `every mode sends what its options say and gets all answers`(options: [String]) throws {
            try withServer { server in
                let load = try Load(["127.0.0.1", "\(server.port)", "-c", "4"] + options)
                load.expectHealthy()
                #expect(
                    load.number("messages").map { "\(Int($0))" } == options[options.firstIndex(of: "--messages")! + 1])
            }
        }

        @Test func `connections that are held stay open, and answer at the end`() throws {
            try withServer { server in
                let load = try LoadTests.load(
                    server, "-c", "20", "--mode", "hold", "--duration", "0.2", "--ramp", "0.1")
                load.expectHealthy()
                #expect(load.number("messages") == 20)
            }
        }

        @Test func `load works over a unix socket and with both transforms`() throws {
            try withTemporaryPath("socket") { path in
                try withServer(.green, ["--unix-socket", path, "--transform", "echo"]) { _ in
                    try Load(["--unix-socket", path, "--messages", "50"]).expectHealthy()
                    let load = try Load(["--unix-socket", path, "--messages", "50", "--transform", "upper"])
                    #expect(load.exit == .status(1))
                    #expect(load.error.contains("it was not transformed"))
                }
            }
        }

        @Test func `in a pipe load prints nothing before its report`() throws {
            try withServer { server in
                var launch = try Program.built(
                    "echo-client", ["load", "127.0.0.1", "\(server.port)", "--duration", "0.5"])
                let text = try Program.run(launch)
                #expect(text.exit == .status(0))
                #expect(text.error == "")
                #expect(text.output.contains("  p99.99  "))
                #expect(text.output.contains("every byte checked"))
                launch.arguments += ["--csv"]
                let lines = try Program.run(launch).output.split(separator: "\n")
                #expect(lines.count == 2)
                let columns = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).count }
                #expect(columns.allSatisfy { $0 == columns[0] && $0 > 10 })
            }
        }

        @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
        func `an interrupted run reports what it has measured`(signal: Int32, status: Int32) throws {
            try withServer { server in
                let program = try Program(
                    Program.built("echo-client", ["load", "127.0.0.1", "\(server.port)", "--duration", "60"]))
                defer { program.end() }
                // With 50 connections open, the load runs.
                let isAtWork = try eventually {
                    try server.program.status().descriptors >= server.idle.descriptors + 50
                }
                #expect(isAtWork)
                program.send(signal)
                #expect(try program.waitForExit() == .status(status))
                let report = program.standardOutput.textToEnd()
                #expect(report.contains("interrupted"))
                #expect(report.contains("messages in"))
            }
        }

        @Test func `a process of a load that is stopped does not hold the report of the others up`() throws {
            try withServer { server in
                let arguments = ["load", "127.0.0.1", "\(try server.port)", "--duration", "60", "--processes", "2"]
                let program = try Program(Program.built("echo-client", arguments))
                defer { program.end() }
                // Opening the connections takes the processes less time than this.
                let isMeasuring = try eventually {
                    let times = try program.status().children.map { ProcessStatus($0)?.processorTime ?? .zero }
                    return times.count == 2 && times.allSatisfy { $0 >= .milliseconds(300) }
                }
                #expect(isMeasuring)
                let stopped = try #require(program.status().children.first)
                kill(stopped, SIGSTOP)
                program.send(SIGTERM)
                #expect(try program.waitForExit() == .status(1))
                let report = program.standardOutput.textToEnd()
                #expect(report.contains("interrupted"))
                #expect(report.contains("process \(stopped) of the load does not answer"))
                #expect(!report.contains("\n0 messages in"))
            }
        }

        @Test func `a signal ends a load whose report is not read`() throws {
            let pipe = try FullPipe()
            defer { pipe.close() }
            try withServer { server in
                let marked = MarkedProcesses()
                let program = try LoadTests.start(server, marked, writingTo: pipe.path)
                defer { program.end() }
                #expect(eventually { marked.all.count == 2 })
                #expect(eventually { marked.all.count == 1 }, "the load itself is over")
                // The first signal may arrive before the report.
                #expect(eventually(within: .seconds(10)) { LoadTests.isEnded(program, by: SIGTERM) })
            }
        }

        private static func start(_ server: Server, _ marked: MarkedProcesses, writingTo path: String) throws -> Program
        {
            var launch = try Program.built("echo-client", ["load", "127.0.0.1", "\(server.port)", "--duration", "0.5"])
            marked.put(on: &launch)
            launch.redirections = ">\(path)"
            return try Program(launch)
        }

        private static func isEnded(_ program: Program, by signal: Int32) -> Bool {
            program.send(signal)
            return program.hasEnded
        }

        @Test func `a missing service is reported at once`() throws {
            try onHub {
                let load = try Load(["127.0.0.1", FakeService.unusedPort(), "-c", "3"])
                #expect(load.exit == .status(1))
                #expect(load.error.contains("connection 0: cannot connect to 127.0.0.1:"))
                #expect(load.error.contains(": connection refused (ECONNREFUSED)"))
                // Standard error has only the failures.
                #expect(load.error.split(separator: "\n").allSatisfy { $0.hasPrefix("echo-client: connection ") })
            }
        }

        @Test(.enabled(if: (try? Terminal())?.close() != nil, "no terminals here"))
        func `on a terminal load shows its progress`() throws {
            try withServer { server in
                let terminal = try Terminal()
                defer { terminal.close() }
                var launch = try Program.built(
                    "echo-client", ["load", "127.0.0.1", "\(server.port)", "--duration", "1"])
                launch.terminal = terminal.descriptor
                let program = try Program(launch)
                defer { program.end() }
                try terminal.waitForScreen(containing: " messages/s, ")
                try terminal.waitForScreen(containing: " s left")
                try terminal.waitForScreen(containing: "every byte checked")
                #expect(try program.waitForExit() == .status(0))
            }
        }

        @Test(.enabled(if: isLongRun)) func `fifty thousand connections are held by one command`() throws {
            try withServer(.green, ["--processes", "3"], limit: .seconds(120)) { server in
                let arguments = ["127.0.0.1", "\(try server.port)", "-c", "50000", "--mode", "hold", "--duration", "1"]
                let load = try Load(arguments, within: .seconds(100))
                load.expectHealthy()
                #expect(load.number("messages") == 50_000)
            }
        }
    }

    /// `echo-client load` against services that are not well.
    @Suite(.serialized) struct FaultTests {
        /// Runs a load with `arguments` against a service that does `serve` with each connection.
        private func load(_ arguments: String..., serve: @escaping @Sendable (Connection) throws -> Void) throws -> Load
        {
            try onHub { try FakeService.with(serve) { port in try Load(onHub: ["127.0.0.1", port] + arguments) } }
        }

        @Test func `a flipped bit is found, with connection, offset and bytes`() throws {
            let load = try load("-c", "1", "--messages", "100", "--transform", "echo") { connection in
                try connection.echo { bytes, offset in
                    if (offset..<offset + bytes.count).contains(1000) { bytes[1000 - offset] ^= 0x10 }
                }
            }
            #expect(load.exit == .status(1))
            #expect(load.failure?.hasPrefix("connection 0, offset 1000: expected 0x") == true)
            #expect(load.failure?.hasSuffix("(one bit is flipped)") == true)
        }

        @Test func `a byte that is dropped is found, and where`() throws {
            let load = try load("-c", "1", "--messages", "100", "--depth", "8", "--transform", "echo") { connection in
                var position = 0
                while let bytes = try connection.receive() {
                    let range = position..<position + bytes.count
                    position = range.upperBound
                    guard range.contains(1000) else {
                        try connection.sendAll(bytes)
                        continue
                    }
                    var rest = Array(bytes)
                    rest.remove(at: 1000 - range.lowerBound)
                    try connection.sendAll(rest)
                }
            }
            #expect(load.exit == .status(1))
            #expect(load.failure?.hasPrefix("connection 0, offset 100") == true)
            #expect(load.failure?.contains("(1 byte is missing)") == true)
        }

        @Test func `a last byte that never comes is reported missing at the end`() throws {
            let load = try load("-c", "1", "--messages", "1", "--timeout", "0.3", "--mode", "churn") { connection in
                guard let bytes = try connection.receive() else { return }
                try connection.sendAll(bytes.dropLast())
                _ = try connection.receive()
            }
            #expect(load.exit == .status(1))
            #expect(load.failure == "connection 0: nothing came for 0.3 seconds, after 63 of 64 bytes, in message 0")
        }

        @Test func `a stall of two seconds is found, with the message that waited`() throws {
            let load = try load("-c", "1", "--messages", "100", "--transform", "echo") { connection in
                try connection.echo { bytes, offset in
                    if (offset..<offset + bytes.count).contains(64 * 50 + 10) { try Greenlet.sleep(for: .seconds(2)) }
                }
            }
            load.expectHealthy()
            #expect(load.number("us") ?? 0 >= 2_000_000)
            #expect(load.number("max") ?? 0 >= 2_000_000)
            #expect(load.output.contains(#""connection":0,"message":49,"#))
        }

        /// An honest echo of 20 KB/s.
        private static let slowly: @Sendable (Connection) throws -> Void = { connection in
            while let bytes = try connection.receive(upTo: 1000) {
                try Greenlet.sleep(for: .milliseconds(50))
                try connection.sendAll(bytes)
            }
        }

        @Test(arguments: [["--mode", "bulk"], ["--depth", "1000"], ["--rate", "100000"]])
        func `a slow service does not keep a load from ending in time, and what is in flight is counted as that`(
            options: [String]
        ) throws {
            var load: Load?
            let time = try elapsed {
                load = try onHub {
                    try FakeService.with(FaultTests.slowly) { port in
                        try Load(
                            onHub: [
                                "127.0.0.1", port, "-c", "1", "--size", "1000", "--duration", "0.5", "--timeout", "0.3",
                            ]
                                + options)
                    }
                }
            }
            load?.expectHealthy()
            #expect(time < .seconds(1.5) + slack)
            #expect(load?.number("seconds") ?? 9 < 1.5)
            #expect(load?.number("messages") ?? 0 >= 1)
            #expect(load?.output.contains("\"in_flight\":{\"messages\":0,") == false)
        }

        @Test func `a service that answers no message in time is called slow, not silent, while bytes come`() throws {
            let load = try load(
                "-c", "1", "--size", "100000", "--duration", "0.7", "--timeout", "0.3", serve: FaultTests.slowly)
            #expect(load.exit == .status(1))
            #expect(load.failure?.hasPrefix("too slow: ") == true)
            #expect(load.failure?.hasSuffix(", and no message was answered in full") == true)
            #expect(load.number("total") == 0)
        }

        @Test func `the time limit counts from the last byte that came`() throws {
            let load = try load(
                "-c", "1", "--size", "6000", "--messages", "1", "--timeout", "0.15", serve: FaultTests.slowly)
            load.expectHealthy()
            #expect(load.number("max") ?? 0 >= 250_000)
        }

        @Test(arguments: [
            ("steady", SIGTERM, 143), ("churn", SIGINT, 130), ("hold", SIGTERM, 143), ("bulk", SIGINT, 130),
        ])
        func `a service that never answers does not hold a load up after a signal`(
            mode: String, signal: Int32, status: Int32
        ) throws {
            try onHub {
                let isReached = GreenEvent()
                try FakeService.with { connection in
                    isReached.set()
                    while try connection.receive() != nil {}
                } _: { port in
                    let program = try Program(
                        Program.built(
                            "echo-client",
                            [
                                "load", "127.0.0.1", port, "-c", "100", "--mode", mode, "--timeout", "60",
                                "--processes", "2",
                            ]))
                    defer { program.end() }
                    try isReached.wait(until: .after(.seconds(10)))
                    let start = Deadline.now
                    program.send(signal)
                    #expect(try program.waitForExitOnHub() == .status(status))
                    #expect(Deadline.now - start < .seconds(1) + slack)
                    let report = program.standardOutput.textToEnd()
                    #expect(report.contains("interrupted"))
                    // Nothing has been measured yet, save with churn, and no time has passed.
                    if mode != "churn" { #expect(report.contains("\n0 messages in 0.00 s: ")) }
                }
            }
        }

        @Test func `a stall longer than the time limit is a failure`() throws {
            let load = try load("-c", "1", "--messages", "10", "--timeout", "0.3", "--transform", "echo") {
                connection in
                try connection.echo { _, offset in if offset > 200 { try Greenlet.sleep(for: .seconds(2)) } }
            }
            #expect(load.exit == .status(1))
            #expect(load.failure?.contains("nothing came for 0.3 seconds") == true)
        }

        @Test func `a reset during an answer is distinguished from an end`() throws {
            let reset = try load("-c", "1", "--messages", "100", "--depth", "50", "--transform", "echo") { connection in
                try connection.sendAll(connection.receive(exactly: 64))
                // The unread bytes make the kernel reset the connection.
                _ = try connection.receive(exactly: 10)
            }
            #expect(reset.exit == .status(1))
            #expect(reset.failure?.contains("ECONNRESET") == true || reset.failure?.contains("EPIPE") == true)
            let ended = try load("-c", "1", "--messages", "100", "--transform", "echo") { connection in
                guard let bytes = try connection.receive() else { return }
                try connection.sendAll(bytes)
                _ = try connection.receive()
            }
            #expect(ended.exit == .status(1))
            #expect(
                ended.failure == "connection 0: the service has ended the stream after 64 of 128 bytes, in message 0")
        }

        @Test func `bytes that were not asked for are reported`() throws {
            let load = try load("-c", "1", "--messages", "10", "--transform", "echo") { connection in
                while let bytes = try connection.receive() {
                    try connection.sendAll(bytes + bytes)
                }
            }
            #expect(load.exit == .status(1))
            #expect(load.failure?.hasPrefix("connection 0") == true)
        }

        @Test func `a pause of a second shows in the percentiles of a rate`() throws {
            let load = try load("-c", "1", "--rate", "200", "--duration", "2", "--transform", "echo") { connection in
                let pause = Deadline.after(.seconds(1))
                var hasPaused = false
                try connection.echo { _, _ in
                    guard !hasPaused, pause.hasPassed else { return }
                    hasPaused = true
                    try Greenlet.sleep(for: .seconds(1))
                }
            }
            load.expectHealthy()
            // Two hundred messages were due in that second, half of them more than half a second before its end.
            #expect(load.number("p99") ?? 0 >= 500_000)
            #expect(load.number("p75") ?? 0 >= 200_000)
        }

        @Test func `one bad connection does not end the others`() throws {
            let load = try onHub {
                let listener = try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!)
                defer { listener.close() }
                let acceptor = spawn {
                    var count = 0
                    while true {
                        let connection = try listener.accept()
                        count += 1
                        let isBad = count == 2
                        spawn {
                            try? connection.echo { bytes, offset in if isBad && offset > 100 { bytes[0] ^= 1 } }
                            connection.close()
                        }
                    }
                }
                defer { acceptor.kill() }
                let port = "\(listener.address.port!)"
                return try Load(onHub: ["127.0.0.1", port, "-c", "4", "--messages", "400", "--transform", "echo"])
            }
            #expect(load.exit == .status(1))
            #expect(load.number("total") == 1)
            #expect(load.number("messages") ?? 0 >= 300)
        }
    }
}

/// A run of `echo-client load --json`, and its output.
private struct Load {
    let exit: Program.Exit
    let output: String
    let error: String

    init(_ arguments: [String], within limit: Duration = .seconds(20)) throws {
        let program = try Load.start(arguments)
        defer { program.end() }
        let exit = try program.waitForExit(within: limit)
        self.init(program, exit)
    }

    /// Waits while the hub's other green threads, which are the service, go on.
    init(onHub arguments: [String]) throws {
        let program = try Load.start(arguments)
        defer { program.end() }
        let exit = try program.waitForExitOnHub(within: .seconds(20))
        self.init(program, exit)
    }

    private init(_ program: Program, _ exit: Program.Exit) {
        self.exit = exit
        (output, error) = (program.standardOutput.textToEnd(), program.standardError.textToEnd())
    }

    private static func start(_ arguments: [String]) throws -> Program {
        try Program(Program.built("echo-client", ["load", "--json"] + arguments))
    }

    func expectHealthy(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(exit == .status(0), "\(output)", sourceLocation: sourceLocation)
        #expect(error == "", sourceLocation: sourceLocation)
        #expect(number("total") == 0, sourceLocation: sourceLocation)
    }

    /// The first number in the JSON report whose key is `name`.
    func number(_ name: String) -> Double? {
        let key = Array("\"\(name)\":".utf8)
        let bytes = Array(output.utf8)
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: key) }) else { return nil }
        let digits = bytes[(start + key.count)...].prefix { !",}".utf8.contains($0) }
        return Double(String(decoding: digits, as: UTF8.self))
    }

    /// The first failure on standard error.
    var failure: String? {
        error.split(separator: "\n").first.map { String($0.dropFirst("echo-client: ".count)) }
    }
}

extension Connection {
    /// Sends back all bytes that come, after `change` has got them with their offset in the stream.
    fileprivate func echo(_ change: (UnsafeMutableRawBufferPointer, Int) throws -> Void) throws {
        var position = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        while let count = try receive(into: buffer) {
            let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            try change(bytes, position)
            position += count
            try sendAll(bytes)
        }
    }
}

extension Terminal {
    fileprivate func waitForScreen(containing text: String) throws {
        let isThere = eventually(within: .seconds(10)) {
            collect()
            return String(decoding: screen, as: UTF8.self).contains(text)
        }
        if !isThere { throw Unexpected("no '\(text)' in \(String(decoding: screen, as: UTF8.self).debugDescription)") }
    }
}

/// A full pipe.
private struct FullPipe {
    private let ends: [Int32]

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Unexpected("no pipe: \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK)
        var byte: UInt8 = 0
        while write(ends[1], &byte, 1) == 1 {}
        self.ends = ends
    }

    /// A path that opens the writing end again, in blocking mode.
    var path: String { "/proc/\(getpid())/fd/\(ends[1])" }

    func close() { for end in ends { Glibc.close(end) } }
}
