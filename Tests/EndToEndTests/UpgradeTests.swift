import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// USR2: the server starts its own program anew, which takes the listeners.
    @Suite(.serialized) struct UpgradeTests {
        /// Sends USR2 and returns the process that the server starts then.
        private func upgrade(_ server: Server, _ process: pid_t, number: Int = 1) throws -> pid_t {
            kill(process, SIGUSR2)
            let line = try server.program.waitOnHub(
                forLineContaining: "starting the next instance", count: number, within: .seconds(20))
            return try #require(line.firstMatch(of: /next_pid=([0-9]+)/).flatMap { pid_t($0.1) })
        }

        /// It has lost its parent, so its end is not told to this process.
        private func end(_ process: pid_t) throws {
            kill(process, SIGTERM)
            try #require(eventuallyOnHub(within: .seconds(20)) { kill(process, 0) != 0 })
        }

        private static let models = ServerModel.testable(
            .green, .greenWorkers, .greenProcesses, .thread, .process, .forkServer, .processPool)

        @Test(arguments: models, [false, true])
        func `under load, no client is refused and no answer is lost`(model: ServerModel, onPath: Bool) throws {
            try withTemporaryDirectory { directory in
                let place = onPath ? ["--unix-socket", "\(directory)/echo"] : []
                try withServer(model, place) { server in
                    let clients = SteadyClients(server.address)
                    defer { clients.stop() }
                    try #require(eventuallyOnHub { clients.answers > 20 })
                    let second = try upgrade(server, server.program.pid)
                    defer { kill(second, SIGKILL) }
                    try server.program.waitOnHub(
                        forLineContaining: "took the listeners of another instance over", within: .seconds(20))
                    try #expect(server.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    // And once more, by the one that was started.
                    let third = try upgrade(server, second, number: 2)
                    defer { kill(third, SIGKILL) }
                    try server.program.waitOnHub(
                        forLineContaining: "took the listeners of another instance over", count: 2, within: .seconds(20)
                    )
                    try #expect(eventuallyOnHub(within: .seconds(20)) { kill(second, 0) != 0 })
                    let before = clients.answers
                    try #require(eventuallyOnHub { clients.answers > before + 20 })
                    #expect(clients.areWell)
                    clients.stop()
                    try end(third)
                    #expect(!onPath || access("\(directory)/echo", F_OK) != 0)
                }
            }
        }

        @Test(arguments: models)
        func `where the next instance fails, this one goes on and says so`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/settings"
                try write("drain-timeout = 9", to: path)
                try withServer(model, ["--config", path, "--unix-socket", "\(directory)/echo"]) { server in
                    try write("drain-timeout = a while", to: path)
                    let failed = try upgrade(server, server.program.pid)
                    try server.program.waitOnHub(forLineContaining: "settings:1: drain-timeout")
                    try server.program.waitOnHub(
                        forLineContaining: "the listeners were not taken over; serving on", within: .seconds(20))
                    try #expect(eventuallyOnHub { kill(failed, 0) != 0 })
                    try #expect(server.answer(to: "still here") == "STILL HERE")
                    // One that fails after it has the listeners.
                    try write("drain-timeout = 9\nadmin = /nowhere/admin", to: path)
                    _ = try upgrade(server, server.program.pid, number: 2)
                    try server.program.waitOnHub(
                        forLineContaining: "the listeners were not taken over; serving on", count: 2,
                        within: .seconds(20))
                    #expect(access("\(directory)/echo", F_OK) == 0)
                    try #expect(server.answer(to: "still here") == "STILL HERE")
                }
            }
        }

        @Test(arguments: ServerModel.testable(.green, .greenProcesses))
        func `a service that is told to stop gives its listeners to no other instance`(model: ServerModel) throws {
            try withServer(model, ["--lame-duck", "2", "--drain-timeout", "5"]) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("ONE", to: "one")
                kill(server.program.pid, SIGUSR2)
                server.program.send(SIGTERM)
                let line = try server.program.waitOnHub(
                    forLineContaining: "the listeners were not taken over", within: .seconds(20))
                #expect(line.contains("this instance is stopping"))
                try client.expect("TWO", to: "two")
                client.close()
                try #expect(server.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                let failed = #expect(throws: NetError.self) { try Connection.connect(to: server.address).close() }
                #expect(failed?.errno?.code == ECONNREFUSED)
            }
        }

        @Test func `a server whose settings came from standard input has no successor, and says why`() throws {
            try withTemporaryPath("settings") { path in
                try write("transform = echo", to: path)
                try withServer(.green, ["--config", "-"], adjust: { $0.setup = "exec <'\(path)'" }) { server in
                    kill(server.program.pid, SIGUSR2)
                    let line = try server.program.waitOnHub(forLineContaining: "the listeners were not taken over")
                    #expect(line.contains("the configuration came from standard input"))
                    try #expect(server.answer(to: "as before") == "as before")
                }
            }
        }

        @Test(arguments: [["echo", "admin"], ["admin"], ["echo"]])
        func `sockets that a manager has passed in are served by the next instance, whichever they are`(
            names: [String]
        ) throws {
            try ManagedSockets.with(names.map { .unix(path: $0) }) { managed in
                let own =
                    (names.contains("echo") ? [] : ["--unix-socket", "\(managed.directory)/echo"])
                    + (names.contains("admin") ? [] : ["--admin", "\(managed.directory)/admin"])
                let first = try ActivatedServer(
                    own, sockets: managed.descriptors, log: managed.log,
                    variables: "LISTEN_PID=$$ LISTEN_FDS=\"$N\" LISTEN_FDNAMES=\(names.joined(separator: ":"))")
                try first.waitUntilReady()
                first.send(SIGUSR2)
                try #expect(first.waitForExit() == .status(0))
                let line = try #require(first.lines.first { $0.contains("starting the next instance") })
                let second = try #require(line.firstMatch(of: /next_pid=([0-9]+)/).flatMap { pid_t($0.1) })
                defer { kill(second, SIGKILL) }
                let admin = try Connection.connect(to: .unix(path: "\(managed.directory)/admin"))
                defer { admin.close() }
                try admin.sendAll("GET /readyz HTTP/1.0\r\n\r\n")
                let answer = String(decoding: try admin.receiveToEnd(), as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 200"))
                let client = try Connection.connect(to: .unix(path: "\(managed.directory)/echo"))
                try client.expect("HELLO", to: "hello")
                client.close()
                try end(second)
                // The server's own paths go with it, and the manager's stay.
                for name in ["echo", "admin"] {
                    #expect((access("\(managed.directory)/\(name)", F_OK) == 0) == names.contains(name), "\(name)")
                }
            }
        }

        @Test func `the file at the program's path counts, not the one that was started`() throws {
            try withTemporaryDirectory { directory in
                let (copy, built) = ("\(directory)/echo-server", try Program.built("echo-server").path)
                _ = try Program.run(Program.Launch("/bin/cp", [built, copy]))
                try withServer(.green) {
                    $0.path = copy
                } _: { server in
                    let gone = "\(directory)/gone"
                    try #require(rename(copy, gone) == 0)
                    kill(server.program.pid, SIGUSR2)
                    let line = try server.program.waitOnHub(forLineContaining: "the listeners were not taken over")
                    #expect(line.contains("cannot start \(copy)") && line.contains("ENOENT"))
                    // Another program, which serves nothing.
                    try write("#!/bin/sh\nexit 3\n", to: copy)
                    chmod(copy, 0o755)
                    _ = try upgrade(server, server.program.pid)
                    try server.program.waitOnHub(forLineContaining: "the listeners were not taken over", count: 2)
                    try #expect(server.answer(to: "still here") == "STILL HERE")
                    try #require(rename(gone, copy) == 0)
                    let second = try upgrade(server, server.program.pid, number: 2)
                    try #expect(server.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    try #expect(server.answer(to: "new") == "NEW")
                    try end(second)
                }
            }
        }

        @Test func `an open connection goes on, and datagrams are answered throughout`() throws {
            try withServer(.green, ["--udp"]) { server in
                let (connection, socket) = (try server.connect(), try Datagram(bind: .loopback(port: 0)))
                defer {
                    connection.close()
                    socket.close()
                }
                func ask() throws {
                    try socket.send("hello", to: server.address)
                    let answer = try socket.receive(upTo: 100, until: .after(.patient(10)))
                    #expect(answer.bytes == Array("HELLO".utf8))
                }
                try connection.expect("ONE", to: "one")
                try ask()
                let second = try upgrade(server, server.program.pid)
                defer { kill(second, SIGKILL) }
                try server.program.waitOnHub(forLineContaining: "another instance has taken the listeners over")
                try connection.expect("TWO", to: "two")
                try ask()
                connection.close()
                try #expect(server.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                try ask()
                try end(second)
            }
        }

        @Test(arguments: ServerModel.testable(.green, .processPool))
        func `the manager is told the new main process, and nothing by the old one after that`(
            model: ServerModel
        ) throws {
            let manager = try ManagerSocket()
            try withServer(model) {
                $0.environment["NOTIFY_SOCKET"] = manager.name
            } _: { server in
                #expect(try manager.wait().hasPrefix("READY=1\n"))
                let second = try upgrade(server, server.program.pid)
                defer { kill(second, SIGKILL) }
                try #expect(server.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                var (messages, changes) = ([String](), [String]())
                while changes.count < 3 {
                    messages.append(try manager.wait())
                    changes = messages.filter { !$0.hasPrefix("STATUS=") && !$0.hasPrefix("FDSTORE") }
                }
                // Ready, before the manager listens to it; the change; and once more.
                #expect(changes[0].hasPrefix("READY=1\n"))
                #expect(changes[1].hasPrefix("MAINPID=\(second)\n"))
                #expect(changes[2].hasPrefix("READY=1\nSTATUS="))
                #expect(!messages.contains { $0.contains("STOPPING") })
                try end(second)
            }
        }

        @Test func `sockets that were passed in go to the next instance, and stay the manager's`() throws {
            try ManagedSockets.with([.loopback(port: 0), .unix(path: "echo")]) { managed in
                let first = try managed.start(.greenProcesses)
                try first.waitUntilReady()
                first.send(SIGUSR2)
                try #expect(first.waitForExit() == .status(0))
                for index in 0..<2 { try #expect(managed.answer(to: "hello", at: index) == "HELLO") }
                let line = try #require(first.lines.first { $0.contains("starting the next instance") })
                let second = try #require(line.firstMatch(of: /next_pid=([0-9]+)/).flatMap { pid_t($0.1) })
                try end(second)
                #expect(access("\(managed.directory)/echo", F_OK) == 0)
            }
        }
    }
}
