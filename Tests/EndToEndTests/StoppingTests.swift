import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// TERM and INT: no new clients, time for the others, and an end.
    @Suite(.serialized) struct StoppingTests {
        /// The time between a signal and the end if there is nothing to wait for.
        private static let promptly = slack * 2

        @Test(arguments: ServerModel.all, [SIGTERM, SIGINT])
        func `a signal ends an idle server at once, with status 0`(model: ServerModel, signal: Int32) throws {
            try withServer(model) { server in
                server.program.send(signal)
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
                #expect(server.program.standardError.lines.last?.contains("stopped") == true)
            }
        }

        @Test(arguments: ServerModel.all, [SIGTERM, SIGINT])
        func `after a signal no client is accepted, and connected clients may finish`(
            model: ServerModel, signal: Int32
        ) throws {
            try withServer(model) { server in
                let clients = try inParallel(ServerModel.fewClients) { _ in try server.connect() }
                for client in clients { try client.expect("BEFORE", to: "before") }
                server.program.send(signal)
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                // Another hub or process may receive the signal a moment later.
                try #expect(eventuallyOnHub { try !server.isAccepting() })
                try clients[0].expect("AFTER", to: "after")
                try clients[1].exchange(1 << 20, of: .upper)
                clients[0].close()
                try clients[2].expect("THE LAST", to: "the last")
                #expect(!server.program.hasEnded)
                clients[2].close()
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
                clients[1].close()
            }
        }

        @Test(arguments: ServerModel.all)
        func `clients that wait to be accepted when the signal comes are served too`(model: ServerModel) throws {
            try withServer(model) { server in
                // A server with a sanitizer can fork this number of children in a second.
                let count = Sanitizer.scaled(200, address: 10, thread: 10)
                let processes = try server.program.processes()
                for process in processes { kill(process, SIGSTOP) }
                let clients = try inParallel(count) { number in
                    let client = try server.connect()
                    try client.sendAll(Array("client \(number)".utf8))
                    return client
                }
                server.program.send(SIGTERM)
                for process in processes { kill(process, SIGCONT) }
                try inParallel(count) { number in
                    defer { clients[number].close() }
                    let answer = "CLIENT \(number)"
                    try #expect(clients[number].receive(exactly: answer.utf8.count) == Array(answer.utf8))
                }
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
            }
        }

        /// Until the server handles the signal, the signal's default action ends it.
        @Test(arguments: ServerModel.all)
        func `a signal at any moment of the start ends it, and nothing is left`(model: ServerModel) throws {
            for moment in 0..<25 {
                let program = try Program(Server.launch(model))
                defer { program.end() }
                poll(nil, 0, Int32(moment))
                let children = ProcessStatus.children(of: program.pid)
                program.send(SIGTERM)
                let exit = try program.waitForExit(within: .seconds(5))
                #expect([.status(0), .signal(SIGTERM)].contains(exit), "\(moment) ms: \(program.standardError.text)")
                #expect(eventually { children.allSatisfy { ProcessStatus($0) == nil } })
            }
        }

        @Test(arguments: ServerModel.all)
        func `a signal during a reload ends the server as usual`(model: ServerModel) throws {
            try withTemporaryPath("settings") { path in
                try write("transform = echo", to: path)
                try withServer(model, ["--config", path]) { server in
                    let client = try server.connect()
                    try client.expect("hello", to: "hello")
                    for _ in 0..<5 { server.program.send(SIGHUP) }
                    server.program.send(SIGTERM)
                    for _ in 0..<5 { server.program.send(SIGHUP) }
                    try client.expect("the last", to: "the last")
                    client.close()
                    try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `a silent client delays the exit by at most the drain timeout, and sees an orderly end`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--drain-timeout", "0.3"]) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                let start = Deadline.now
                server.program.send(SIGTERM)
                // A reset would throw.
                try #expect(client.receive() == nil)
                let time = Deadline.now - start
                #expect(time >= .milliseconds(300))
                #expect(time < .milliseconds(300) + slack)
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
                // The client left by itself; the server did not disconnect it.
                let counts = try #require(server.lastCounts)
                counts.expectToAddUp(open: 0)
                #expect(counts["ended_done"] == 1)
            }
        }

        @Test(arguments: ServerModel.all)
        func `under load, all that was sent before the signal is answered, and the status is 0`(
            model: ServerModel
        ) throws {
            try withServer(model) { server in
                let load = Load(server, talkers: ServerModel.fewClients, comers: 100)
                try #expect(eventuallyOnHub { load.answers > 500 / Sanitizer.slowness })
                server.program.send(SIGTERM)
                load.signalWasSent()
                try load.waitForTalkers()
                try #expect(server.program.waitForExitOnHub() == .status(0))
                try load.expectNothingLost()
                let counts = try #require(server.lastCounts)
                #expect(counts["bytes_in"] == counts["bytes_out"])
                counts.expectToAddUp(open: 0)
            }
        }

        /// The clients connect faster than the server forks.
        @Test(arguments: ServerModel.all)
        func `new clients that keep coming do not keep the server from stopping`(model: ServerModel) throws {
            try withServer(model) { server in
                let comers = (0..<4).map { _ in spawn(name: "comer") { try server.keepComing() } }
                defer {
                    for comer in comers { comer.kill() }
                    for comer in comers { _ = try? comer.value() }
                }
                try #expect(eventuallyOnHub { try server.program.tree().processorTime > .milliseconds(100) })
                server.program.send(SIGTERM)
                let limit = Duration.seconds(5) * Sanitizer.slowness
                try #expect(server.program.waitForExitOnHub(within: limit) == .status(0))
            }
        }

        @Test(arguments: ServerModel.all)
        func `with a drain timeout of 0, silent clients are disconnected at once`(model: ServerModel) throws {
            try withServer(model, ["--drain-timeout", "0"]) { server in
                let clients = try inParallel(min(50, model.clientsAtOnce)) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
                for client in clients {
                    try #expect(client.receive() == nil)
                    client.close()
                }
            }
        }

        @Test(arguments: ServerModel.all, ["10", "0.2"])
        func `what was sent before the signal is answered, whenever the client reads`(
            model: ServerModel, drainTimeout: String
        ) throws {
            try withServer(model, ["--drain-timeout", drainTimeout]) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.send(1 << 20, of: .upper)
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                let ending = spawn { try client.shutdownSending() }
                try #expect(client.expect(.upper) == 1 << 20)
                try ending.value()
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
            }
        }

        @Test(arguments: ServerModel.all)
        func `what was received is answered at the drain timeout, though the client has not ended`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--drain-timeout", "0.2"]) { server in
                let client = try server.connect()
                defer { client.close() }
                // The kernel's buffers hold the bytes: the server can neither receive nor send all of them yet.
                let count = try client.sendUntilFull(of: .upper)
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                try #expect(client.expect(.upper) == count)
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that never reads delays the exit for a bounded time and is then disconnected`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--drain-timeout", "0.2"]) { server in
                let client = try server.connect()
                let sender = spawn {
                    let bytes = [UInt8](repeating: 0, count: 65_536)
                    while (try? client.sendAll(bytes)) != nil {}
                }
                defer {
                    client.close()
                    try? sender.value()
                }
                // The kernel's buffers are full, and the client sends more.
                try #expect(eventuallyOnHub(within: .seconds(15)) { try server.isStuckInSending() })
                server.program.send(SIGTERM)
                let start = Deadline.now
                // After the drain timeout the server answers for a second at most, and then disconnects the client.
                let limit = Duration.milliseconds(200) + .seconds(1) + slack
                try #expect(server.program.waitForExit(within: .seconds(5)) == .status(0))
                #expect(Deadline.now - start < limit)
                let last = try #require(server.lastCounts)
                last.expectToAddUp(open: 0)
                // An OS thread that blocks in a send may find room when it has to finish: then all is sent, though not received.
                #expect(last["ended_cancelled"] + last["ended_done"] == 1)
            }
        }

        /// A stopped process is sure not to finish.
        @Test(arguments: ServerModel.testable(.process, .forkServer) + ServerModel.supervised)
        func `a client that is disconnected after the drain timeout counts as cancelled, even by a kill`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--drain-timeout", "0.1"]) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                for child in try server.program.status().children { kill(child, SIGSTOP) }
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExit(within: .seconds(5)) == .status(0))
                let last = try #require(server.lastCounts)
                last.expectToAddUp(open: 0)
                #expect(last["ended_cancelled"] == 1)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that goes on sending at the drain timeout gets all that was answered before`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--drain-timeout", "0"]) { server in
                let client = try server.connect()
                defer { client.close() }
                // The client sends what the kernel's buffers hold, so that most of the answer is on its way at the end.
                try client.send(1 << 20, of: .upper)
                _ = try server.waitForCounts { $0["bytes_out"] == 1 << 20 }
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                for _ in 0..<20 {
                    _ = try? client.sendAll([0])
                    try Greenlet.sleep(for: .milliseconds(1))
                }
                let received = try client.receiveToEndOrReset()
                try #expect(server.program.waitForExit(within: StoppingTests.promptly) == .status(0))
                let counts = try #require(server.lastCounts)
                counts.expectToAddUp(open: 0)
                #expect(counts["bytes_out"] >= 1 << 20)
                #expect(received == counts["bytes_out"])
            }
        }

        @Test(
            arguments: ServerModel.all,
            [[SIGTERM, SIGTERM], [SIGINT, SIGINT], [SIGTERM, SIGINT], [SIGINT, SIGTERM]])
        func `a second signal ends the server at once, with the status of that signal`(
            model: ServerModel, signals: [Int32]
        ) throws {
            try withServer(model, ["--drain-timeout", "60"]) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                server.program.send(signals[0])
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                let children = try server.program.status().children
                server.program.send(signals[1])
                let exit = try server.program.waitForExit(within: StoppingTests.promptly)
                #expect(exit == .status(128 + signals[1]))
                #expect(eventually { children.allSatisfy { ProcessStatus($0) == nil } })
                #expect(server.program.standardError.text.contains("second signal: ending at once"))
            }
        }

        @Test(arguments: ServerModel.all)
        func `a second signal leaves no unix socket path behind`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let (path, adminPath) = ("\(directory)/echo", "\(directory)/admin")
                try withServer(model, ["--unix-socket", path, "--admin", adminPath]) { server in
                    let client = try server.connect()
                    defer { client.close() }
                    try client.expect("HELLO", to: "hello")
                    #expect(entries(of: directory) == ["admin", "echo"])
                    server.program.send(SIGTERM)
                    try server.program.waitOnHub(forLineContaining: "no longer accepting")
                    server.program.send(SIGTERM)
                    #expect(try server.program.waitForExit(within: StoppingTests.promptly) == .status(128 + SIGTERM))
                    #expect(entries(of: directory) == [])
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `the port is free again when the server has ended, though it ended the connections`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--drain-timeout", "0"]) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                server.program.send(SIGTERM)
                try server.program.waitForExit()
                let port = try server.port
                let next = try Server.start(model, ["--port", "\(port)"])
                defer { next.program.end() }
                try #expect(next.answer(to: "again") == "AGAIN")
            }
        }
    }
}

extension Server {
    /// Whether the server holds received bytes that it can't send, and no counter has changed for a while.
    fileprivate func isStuckInSending() throws -> Bool {
        let before = try counts()
        try Greenlet.sleep(for: .milliseconds(100))
        let now = try counts()
        return now["bytes_in"] > now["bytes_out"] && now["bytes_in"] == before["bytes_in"]
            && now["bytes_out"] == before["bytes_out"]
    }
}

extension Connection {
    /// If this side goes on sending, the received bytes may be followed by a reset.
    fileprivate func receiveToEndOrReset() throws -> Int {
        var received = 0
        while let bytes = try receiveUnlessReset() {
            received += bytes.count
        }
        return received
    }

    private func receiveUnlessReset() throws(NetError) -> UnsafeMutableRawBufferPointer? {
        do throws(NetError) { return try receiveView() } catch {
            if error.isPeerGone { return nil }
            throw error
        }
    }
}

/// Clients that send and receive as fast as they can: some over one connection, the others over a new connection for each answer.
private final class Load {
    private(set) var answers = 0
    private var isStopping = false
    private var talkers: [Greenlet<Void>] = []
    private var comers: [Greenlet<Void>] = []
    /// What happened to the clients that had sent everything before the signal.
    private var lost: [String] = []

    init(_ server: Server, talkers: Int, comers: Int) {
        self.talkers = (0..<talkers).map { number in spawn { [unowned self] in try talk(server, number) } }
        self.comers = (0..<comers).map { number in spawn { [unowned self] in try come(server, number) } }
    }

    func signalWasSent() { isStopping = true }

    /// The clients finish what they have begun, and the server must let them.
    func waitForTalkers() throws { for talker in talkers { try talker.value() } }

    func expectNothingLost() throws {
        for comer in comers { try comer.value() }
        #expect(lost.isEmpty)
    }

    private func talk(_ server: Server, _ number: Int) throws {
        let connection = try server.connect()
        defer { connection.close() }
        while !isStopping {
            let bytes = RandomStream.upper.bytes(number * 1000 + answers, 3000)
            try connection.sendAll(bytes)
            try #expect(connection.receive(exactly: bytes.count) == bytes.map(upperCase))
            answers += 1
        }
    }

    private func come(_ server: Server, _ number: Int) throws {
        while !isStopping {
            var hadSentInTime = false
            do {
                let connection = try server.connect()
                defer { connection.close() }
                try connection.sendAll(Array("comer \(number)".utf8))
                hadSentInTime = !isStopping
                try connection.shutdownSending()
                let answer = String(decoding: try connection.receiveToEnd(), as: UTF8.self)
                if answer != "COMER \(number)" { throw Unexpected("'\(answer)'") }
                answers += 1
            } catch {
                if hadSentInTime { lost.append("\(error)") }
            }
        }
    }

    private func upperCase(_ byte: UInt8) -> UInt8 { (97...122).contains(byte) ? byte - 32 : byte }
}
