import Glibc
import GreenNet
import TestSupport
import Testing

@testable import class EchoServer.AdminSeats
@testable import enum EchoServer.Housekeeping

extension EndToEnd {
    /// Listening sockets that a service manager has opened.
    @Suite(.serialized) struct SystemdTests {
        private static let everyArrangement = ServerModel.all
        private static let ipv4 = SocketAddress(ip: "127.0.0.1", port: 0)!
        private static let ipv6 = SocketAddress(ip: "::1", port: 0)!
        private static let unix = SocketAddress.unix(path: "socket")

        // MARK: Serving

        @Test(arguments: everyArrangement)
        func `the server serves all sockets that were passed in and leaves them as they are`(model: ServerModel) throws
        {
            try ManagedSockets.with([SystemdTests.ipv4, SystemdTests.ipv6, SystemdTests.unix]) { managed in
                let server = try managed.start(model)
                try server.waitUntilReady()
                for round in 0..<10 {
                    for index in managed.sockets.indices {
                        try #expect(managed.answer(to: "round \(round)", at: index) == "ROUND \(round)")
                    }
                }
                let listening = server.lines.filter { $0.contains("listening on") }
                #expect(listening.count == 3)
                for socket in managed.sockets {
                    #expect(listening.contains { $0.contains("listening on \(socket.address) ") })
                }
                try server.stop()
                // No client is refused: the sockets listen, and the path is there.
                let waiting = try managed.sockets.map { try Connection.connect(to: $0.address) }
                try Greenlet.yield()
                for client in waiting { client.close() }
            }
        }

        @Test(arguments: ServerModel.testable(.greenWorkers, .process))
        func `each hub reserves stacks for its own green threads, for any number of sockets passed in`(
            model: ServerModel
        ) throws {
            try ManagedSockets.with(Array(repeating: SystemdTests.ipv4, count: 20)) { managed in
                let path = "\(managed.directory)/admin"
                let server = try managed.start(model, ["--admin", path])
                try server.waitUntilReady()
                let admin = Admin(.unix(path: path))
                for hub in 0..<model.hubs {
                    // The first process has the admin interface's listener too.
                    let wanted =
                        hub == 0
                        ? Housekeeping.stacks(listeners: 20 + 1, adminSeats: AdminSeats.count)
                        : Housekeeping.stacks(listeners: 20)
                    let isTold = try eventuallyOnHub {
                        let metrics = try admin.metrics()
                        let threads = metrics["echo_server_green_threads{hub=\"\(hub)\"}"]
                        return threads.map { $0 + metrics["echo_server_stacks_cached{hub=\"\(hub)\"}", default: 0] }
                            == Double(wanted)
                    }
                    let metrics = try admin.metrics().filter { $0.key.contains("hub=") }
                    #expect(isTold, "\(wanted) stacks are wanted of hub \(hub): \(metrics)")
                }
                let strangers = try admin.get("/threads").body.split(separator: "\n").filter { line in
                    let name = line.firstMatch(of: /\((.+?)\):/)?.1
                    return name.map {
                        $0 != "main" && !$0.hasPrefix("accept ") && Housekeeping(rawValue: String($0)) == nil
                    }
                        ?? false
                }
                #expect(strangers == [])
                try server.stop()
            }
        }

        /// A busy listener must not keep the others waiting.
        @Test func `a pool of one process takes from its sockets in turn`() throws {
            try ManagedSockets.with([SystemdTests.ipv4, SystemdTests.unix]) { managed in
                let clients = try (0..<20).map { number in
                    let client = try Connection.connect(to: managed.sockets[number < 19 ? 0 : 1].address)
                    try client.sendAll(Array("client \(number)".utf8))
                    return client
                }
                let server = try ActivatedServer(
                    ["--model", "process", "--pool-size", "1"], sockets: managed.descriptors, log: managed.log)
                // The only client of the other socket is served before 18 of the earlier clients have left.
                for number in [0, 19] {
                    let answer = "CLIENT \(number)"
                    try #expect(clients[number].receive(exactly: answer.utf8.count) == Array(answer.utf8))
                    clients[number].close()
                }
                for client in clients { client.close() }
                try server.stop()
            }
        }

        @Test(arguments: [(["--port", "7"], true), (["--unix-socket", "/nonexistent/socket"], true), ([], false)])
        func `with sockets passed in, host and port are ignored, and the log says so`(
            arguments: [String], isTold: Bool
        ) throws {
            try ManagedSockets.with { managed in
                let server = try managed.start(.green, arguments)
                try server.waitUntilReady()
                try #expect(managed.answer(to: "x") == "X")
                #expect(
                    server.lines.contains {
                        $0.contains("notice") && $0.contains("ignoring host, port and unix-socket")
                    } == isTold)
                try server.stop()
            }
        }

        @Test func `variables for another process are ignored`() throws {
            try withServer(variables: ["LISTEN_PID": "1", "LISTEN_FDS": "3"]) { server in
                try #expect(server.answer(to: "own port") == "OWN PORT")
            }
        }

        // MARK: The admin interface

        @Test(arguments: everyArrangement)
        func `a socket named admin is the admin interface's, and stays open for the next server`(
            model: ServerModel
        ) throws {
            try ManagedSockets.with([SystemdTests.ipv4, SystemdTests.ipv4, SystemdTests.unix]) { managed in
                let names = ["echo", "admin", "admin"]
                let server = try managed.start(model, names: names)
                try server.waitUntilReady()
                try #expect(managed.answer(to: "x") == "X")
                for index in 1...2 {
                    let admin = Admin(managed.sockets[index].address)
                    try #expect(admin.get("/readyz") == .init(200, "ready\n"))
                    try #expect(admin.get("/healthz").status == 200)
                }
                #expect(server.lines.count { $0.contains("listening on") } == 1)
                #expect(server.lines.count { $0.contains("admin on") } == 2)
                try server.stop()
                let waiting = spawn { try Admin(managed.sockets[1].address).get("/healthz").status }
                try Greenlet.yield()
                let next = try managed.start(model, names: names)
                try #expect(waiting.value() == 200)
                try next.waitUntilReady()
                try next.stop()
            }
        }

        @Test func `if only a socket named admin is passed in, the service listens on its own address`() throws {
            try ManagedSockets.with { managed in
                let path = "\(managed.directory)/socket"
                let server = try managed.start(.green, ["--unix-socket", path], names: ["admin"])
                try server.waitUntilReady()
                let client = try Connection.connect(to: .unix(path: path))
                try client.expect("HELLO", to: "hello")
                client.close()
                try #expect(Admin(managed.sockets[0].address).get("/readyz").status == 200)
                #expect(!server.lines.contains { $0.contains("ignoring host, port and unix-socket") })
                try server.stop()
            }
        }

        @Test func `a socket named admin is used instead of --admin, and the log says so`() throws {
            try ManagedSockets.with([SystemdTests.ipv4, SystemdTests.ipv4]) { managed in
                // Then it doesn't matter that the server can't listen on the address.
                let server = try managed.start(.green, ["--admin", "192.0.2.1:9090"], names: ["echo", "admin"])
                try server.waitUntilReady()
                try #expect(Admin(managed.sockets[1].address).get("/readyz").status == 200)
                #expect(server.lines.contains { $0.contains("notice") && $0.contains("ignoring --admin") })
                try server.stop()
            }
        }

        /// As in a service without a network of its own: the manager would start it again and again for the waiting clients.
        @Test(arguments: ["192.0.2.1:9090", "nowhere.invalid:9090", "/nonexistent/socket"])
        func `sockets that are passed in are served even if --admin fails, and the log says so`(
            address: String
        ) throws {
            try ManagedSockets.with { managed in
                let server = try managed.start(.green, ["--admin", address])
                try server.waitUntilReady()
                try #expect(managed.answer(to: "x") == "X")
                let complaints = server.lines.filter { $0.contains("error") && $0.contains("serving without --admin") }
                #expect(complaints.count == 1 && complaints[0].contains(address), "\(server.lines)")
                try server.stop()
            }
        }

        @Test func `a socket with any other name is served, and an unusual name is logged`() throws {
            let names = ["echo", "unknown", "my-own.socket", "metrics"]
            try ManagedSockets.with(names.map { _ in SystemdTests.ipv4 }) { managed in
                let server = try managed.start(.green, names: names)
                try server.waitUntilReady()
                for index in names.indices { try #expect(managed.answer(to: "x", at: index) == "X") }
                let notices = server.lines.filter { $0.contains("serving a socket with an unknown name") }
                #expect(notices.count == 1 && notices[0].contains("metrics"), "\(server.lines)")
                try server.stop()
            }
        }

        // MARK: Restarts

        @Test(arguments: everyArrangement)
        func `a restart under load refuses no client and loses no byte`(model: ServerModel) throws {
            try ManagedSockets.with { managed in
                var server = try managed.start(model)
                let served = Count()
                let clients = (0..<8).map { number in
                    spawn(name: "client \(number)") {
                        while !served.isOver {
                            let text = String(
                                repeating: "client \(number) for the \(served.count)th time, ", count: 100)
                            let answer = try managed.answer(to: text)
                            if answer != text.uppercased() {
                                throw Unexpected("\(answer.utf8.count) bytes came back of \(text.utf8.count)")
                            }
                            served.count += 1
                        }
                    }
                }
                for _ in 0..<3 {
                    try server.waitUntilReady()
                    let before = served.count
                    let isUnderLoad = try eventuallyOnHub {
                        served.count >= before + 50 || clients.contains(where: \.hasEnded)
                    }
                    #expect(isUnderLoad)
                    try server.stop()
                    server = try managed.start(model)
                }
                try server.waitUntilReady()
                served.isOver = true
                for client in clients { try client.value() }
                try server.stop()
            }
        }

        private final class Count {
            var count = 0
            var isOver = false
        }

        @Test(arguments: everyArrangement)
        func `clients that wait when the server stops are served by the next server`(model: ServerModel) throws {
            try ManagedSockets.with { managed in
                let first = try managed.start(model)
                try first.waitUntilReady()
                try #expect(managed.answer(to: "x") == "X")
                let processes = [first.pid] + ProcessStatus.children(of: first.pid)
                for process in processes { kill(process, SIGSTOP) }
                let clients = try (0..<20).map { number in
                    let client = try Connection.connect(to: managed.sockets[0].address)
                    try client.sendAll(Array("client \(number)".utf8))
                    try client.shutdownSending()
                    return client
                }
                // The kernel decides whether the signal or the clients come first: the server may still serve some of them.
                for process in processes { kill(process, SIGTERM) }
                for process in processes { kill(process, SIGCONT) }
                try #expect(first.waitForExit() == .status(0))
                let second = try managed.start(model)
                try second.waitUntilReady()
                try inParallel(clients.count) { number in
                    defer { clients[number].close() }
                    try #expect(clients[number].receiveToEnd() == Array("CLIENT \(number)".utf8))
                }
                try second.stop()
            }
        }

        @Test(arguments: everyArrangement)
        func `while it drains, the server accepts no client`(model: ServerModel) throws {
            try ManagedSockets.with { managed in
                let server = try managed.start(model)
                try server.waitUntilReady()
                let inside = try Connection.connect(to: managed.sockets[0].address)
                try inside.expect("INSIDE", to: "inside")
                server.send(SIGTERM)
                let isDraining = try eventuallyOnHub { server.lines.contains { $0.contains("no longer accepting") } }
                #expect(isDraining)
                // Children get the signal a moment later, and serve the clients that they have accepted by then.
                let isClosed = try eventuallyOnHub {
                    let late = try Connection.connect(to: managed.sockets[0].address)
                    defer { late.close() }
                    try late.sendAll([UInt8(ascii: "x")])
                    do throws(NetError) {
                        _ = try late.receive(exactly: 1, until: .after(.milliseconds(50)))
                        return false
                    } catch {
                        return error.waitError == .deadlinePassed
                    }
                }
                #expect(isClosed)
                try inside.expect("STILL INSIDE", to: "still inside")
                inside.close()
                try #expect(server.waitForExit() == .status(0))
            }
        }

        // MARK: What is refused

        @Test func `with a datagram socket passed in, the start ends with status 78`() throws {
            try expectRefusal(
                of: socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0),
                "descriptor 3, passed in as 'unknown', is not a stream socket")
        }

        @Test func `with a socket passed in that does not listen, the start ends with status 78`() throws {
            try expectRefusal(
                of: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0),
                "descriptor 3, passed in as 'unknown', is not a listening socket")
        }

        @Test func `with a file passed in, the start ends with status 78`() throws {
            try expectRefusal(of: open("/dev/null", O_RDWR), "descriptor 3, passed in as 'unknown', is not a socket")
        }

        @Test(
            arguments: [
                ("LISTEN_PID=$$ LISTEN_FDS=2", "descriptor 4, passed in as 'unknown', is not open"),
                ("LISTEN_PID=$$ LISTEN_FDS=one", "LISTEN_FDS: 'one' is not a number of descriptors"),
                ("LISTEN_PID=self LISTEN_FDS=1", "LISTEN_PID: 'self' is not a process id"),
                ("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a:b", "LISTEN_FDNAMES: 'a:b' does not name 1 descriptors"),
            ])
        func `with invalid LISTEN variables, the start ends with status 78`(variables: String, complaint: String) throws
        {
            let address = SystemdTests.ipv4
            let listener = try ListeningSocket(on: address, backlog: 1)
            try expectRefusal(of: listener.descriptor, complaint, variables: variables)
        }

        private func expectRefusal(
            of descriptor: Int32, _ complaint: String, variables: String = "LISTEN_PID=$$ LISTEN_FDS=1"
        ) throws {
            defer { close(descriptor) }
            try withTemporaryPath("log") { log in
                let server = try ActivatedServer([], sockets: [descriptor], log: log, variables: variables)
                let exit = try onHub { try server.waitForExit() }
                #expect(exit == .status(78))
                #expect(server.lines == ["echo-server: \(complaint)"])
            }
        }

        // MARK: systemd's own tool

        private static let activator = "/usr/bin/systemd-socket-activate"

        @Test(.enabled(if: access(activator, X_OK) == 0, "systemd-socket-activate is not installed"))
        func `systemd-socket-activate starts the server when the first client connects`() throws {
            try withTemporaryPath { path in
                let echoServer = try Program.built("echo-server")
                let program = try Program(
                    Program.Launch(
                        SystemdTests.activator,
                        // The tool passes on nothing else.
                        Sanitizer.programOptions.map { "--setenv=\($0)=\($1)" }
                            + ["--listen=\(path)", "--fdname=echo", echoServer.path]))
                defer { program.end() }
                try program.waitForLine(containing: "Listening on")
                try onHub {
                    let client = try Connection.connect(to: .unix(path: path))
                    defer { client.close() }
                    try client.expect("HELLO", to: "hello")
                }
                try program.waitForLine(containing: "listening on \(path)")
                program.send(SIGTERM)
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test(.enabled(if: access(activator, X_OK) == 0, "systemd-socket-activate is not installed"))
        func `systemd-socket-activate starts one server for each connection`() throws {
            try withTemporaryPath { path in
                let echoServer = try Program.built("echo-server")
                let program = try Program(
                    Program.Launch(
                        SystemdTests.activator, ["--listen=\(path)", "--accept", "--inetd", echoServer.path, "--inetd"])
                )
                defer { program.end() }
                try program.waitForLine(containing: "Listening on")
                try onHub {
                    try inParallel(5) { number in
                        let client = try Connection.connect(to: .unix(path: path))
                        defer { client.close() }
                        try client.exchange(100_000 + number, of: .upper)
                    }
                }
                #expect(eventually { (try? program.status().children.isEmpty) == true })
            }
        }
    }
}
