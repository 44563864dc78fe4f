import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// What the admin interface tells, and what it puts up with.
    @Suite(.serialized) struct AdminTests {
        private func withAdminServer(
            _ model: ServerModel = .green, _ arguments: [String] = [],
            _ body: @escaping @Sendable (Server, Admin) throws -> Void
        ) throws {
            try withServer(model, ["--admin", "127.0.0.1:0"] + arguments) { server in
                try body(server, Admin(of: server))
            }
        }

        @Test(arguments: ServerModel.all)
        func `the metrics are those of the whole service, and add up`(model: ServerModel) throws {
            try withAdminServer(model) { server, admin in
                for _ in 0..<5 { try #expect(server.answer(to: "hello") == "HELLO") }
                let client = try server.connect()
                defer { client.close() }
                try client.expect("STAY", to: "stay")
                // What was sent is counted when the kernel has taken it: a client may be faster.
                let isTold = try eventuallyOnHub {
                    let metrics = try admin.metrics()
                    return metrics["echo_server_ended_total{end=\"done\"}"] == 5
                        && metrics["echo_server_sent_bytes_total"] == 29
                }
                #expect(isTold)
                let metrics = try admin.metrics()
                #expect(metrics["echo_server_accepted_total"] == 6)
                #expect(metrics["echo_server_connections{state=\"open\"}"] == 1)
                #expect(metrics["echo_server_received_bytes_total"] == 29)
                #expect(metrics["echo_server_sent_bytes_total"] == 29)
                #expect(try #require(metrics["echo_server_messages_total"]) >= 6)
                #expect(metrics["echo_server_ready"] == 1)
                #expect(metrics.keys.contains { $0.contains("model=\"\(model.kind)\"") })
            }
        }

        @Test func `each hub tells how late it is and what it has`() throws {
            try withAdminServer(ServerModel(.green, "--workers", "2")) { server, admin in
                let clients = try (0..<20).map { _ in try server.connect() }
                defer { for client in clients { client.close() } }
                let areTold = try eventuallyOnHub {
                    let metrics = try admin.metrics()
                    let threads = (0..<2).compactMap { metrics["echo_server_green_threads{hub=\"\($0)\"}"] }
                    return threads.count == 2 && threads.reduce(0, +) >= 20
                }
                #expect(areTold)
                let lag = try #require(try admin.metrics()["echo_server_hub_lag_peak_seconds{hub=\"1\"}"])
                #expect(lag > 0)
            }
        }

        @Test(arguments: ServerModel.all)
        func `it is ready until it drains, and tells so while it does`(model: ServerModel) throws {
            try withAdminServer(model) { server, admin in
                try #expect(admin.get("/readyz") == .init(200, "ready\n"))
                try #expect(admin.get("/healthz") == .init(200, "ok\n"))
                let client = try server.connect()
                try client.expect("HELLO", to: "hello")
                server.program.send(SIGTERM)
                let isDraining = try eventuallyOnHub { try admin.get("/readyz") == .init(503, "stopping\n") }
                #expect(isDraining)
                try #expect(admin.metrics()["echo_server_ready"] == 0)
                client.close()
                #expect(try server.program.waitForExit() == .status(0))
            }
        }

        @Test(.enabled(if: Sanitizer.active != .thread))
        func `a hub that no longer turns makes it unhealthy`() throws {
            try withAdminServer(ServerModel(.green, "--processes", "2")) { server, admin in
                let child = try #require(try server.program.status().children.first)
                try #expect(admin.get("/healthz").status == 200)
                kill(child, SIGSTOP)
                defer { kill(child, SIGCONT) }
                let isTold = try eventuallyOnHub(within: .seconds(15)) { try admin.get("/healthz").status == 503 }
                #expect(isTold)
                let body = try admin.get("/healthz").body
                #expect(body.contains(/^hub [01] has not turned for [0-9]+(\.[0-9]{1,3})? seconds\n$/), "\(body)")
                kill(child, SIGCONT)
                try #expect(eventuallyOnHub { try admin.get("/healthz").status == 200 })
            }
        }

        @Test func `the green threads of all hubs are listed, with what they wait for and how long already`() throws {
            try withAdminServer(ServerModel(.green, "--workers", "2")) { server, admin in
                let clients = try (0..<8).map { _ in try server.connect() }
                defer { for client in clients { client.close() } }
                for client in clients { try client.expect("X", to: "x") }
                let text = try admin.get("/threads").body
                #expect(text.contains("hub 0\n") && text.contains("hub 1\n"))
                #expect(text.split(separator: "\n").count { $0.contains("to be readable, for ") } >= 8)
                // Clients that say nothing more.
                try #expect(
                    eventually(within: .seconds(20)) {
                        try admin.get("/threads").body.split(separator: "\n")
                            .count { $0.contains("to be readable, for ") && !$0.contains(", for 0.") } >= 8
                    })
            }
        }

        @Test func `it listens on a unix socket, whose path goes with it`() throws {
            try withTemporaryPath { path in
                try withServer(.green, ["--admin", path]) { server in
                    try #expect(Admin(.unix(path: path)).get("/readyz").status == 200)
                    server.program.send(SIGTERM)
                    #expect(try server.program.waitForExit() == .status(0))
                    #expect(access(path, F_OK) != 0)
                }
            }
        }

        @Test func `an address that is taken ends it with status 69`() throws {
            try withAdminServer { _, admin in
                let result = try Program.run(
                    Program.built("echo-server", ["--port", "0", "--admin", "\(admin.address)"]))
                #expect(result.exit == .status(69))
                #expect(result.error.contains("cannot bind \(admin.address): address already in use (EADDRINUSE)"))
            }
        }

        // MARK: Bad clients

        @Test(arguments: [
            ("GARBAGE\r\n\r\n", 400), ("\u{16}\u{3}\u{1}\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET /nothing HTTP/1.0\r\n\r\n", 404), ("GET /../etc/passwd HTTP/1.0\r\n\r\n", 404),
            ("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 405), ("GET / HTTP/2.0\r\n\r\n", 505),
            ("GET /" + String(repeating: "x", count: 10_000) + " HTTP/1.0\r\n\r\n", 431),
            // 8 KiB, and one byte more.
            ("GET /" + String(repeating: "x", count: 8192 - 18) + " HTTP/1.0\r\n\r\n", 404),
            ("GET /" + String(repeating: "x", count: 8193 - 18) + " HTTP/1.0\r\n\r\n", 431),
            ("GET / HTTP/1.0\r\nX: " + String(repeating: "x", count: 100_000), 431),
        ])
        func `a bad request gets its answer and a close`(text: String, status: Int) throws {
            try withAdminServer { _, admin in
                try #expect(admin.exchange(text).status == status)
                try #expect(admin.get("/healthz").status == 200)
            }
        }

        @Test func `a request byte by byte is a request`() throws {
            try withAdminServer { _, admin in
                let client = try Connection.connect(to: admin.address)
                defer { client.close() }
                for byte in "GET /readyz HTTP/1.0\r\n\r\n".utf8 {
                    try client.sendAll([byte])
                    try Greenlet.sleep(for: .milliseconds(1))
                }
                #expect(String(decoding: try client.receiveToEnd(), as: UTF8.self).hasSuffix("\r\n\r\nready\n"))
            }
        }

        @Test func `silent clients are let go, and hold up nobody but those who come after them`() throws {
            try withAdminServer { server, admin in
                // One place stays free.
                let silent = try (0..<15).map { _ in try Connection.connect(to: admin.address) }
                defer { for client in silent { client.close() } }
                try #expect(admin.get("/healthz").status == 200)
                try #expect(server.answer(to: "hello") == "HELLO")
                for client in silent {
                    let answer = String(decoding: try client.receiveToEnd(), as: UTF8.self)
                    #expect(answer.hasPrefix("HTTP/1.1 408 "))
                }
            }
        }

        @Test func `more clients than there are places are turned away, and the service goes on`() throws {
            try withAdminServer { server, admin in
                let crowd = try (0..<100).map { _ in try Connection.connect(to: admin.address) }
                let turnedAway = try crowd.count { client in
                    do {
                        return try client.receive(until: .after(.milliseconds(20))) == nil
                    } catch let error as NetError {
                        return error.waitError == nil
                    }
                }
                #expect(turnedAway >= 80)
                try #expect(server.answer(to: "hello") == "HELLO")
                for client in crowd { client.close() }
                try #expect(eventuallyOnHub { (try? admin.get("/healthz").status) == 200 })
            }
        }

        @Test func `what comes without end behind a request is not read for ever`() throws {
            try withAdminServer { _, admin in
                let client = try Connection.connect(to: admin.address)
                defer { client.close() }
                try client.sendAll(Array("GET /readyz HTTP/1.0\r\n\r\n".utf8))
                let more = [UInt8](repeating: 0, count: 65_536)
                #expect(throws: NetError.self) {
                    for _ in 0..<1000 { try client.sendAll(more, until: .after(.patient(5))) }
                }
                try #expect(admin.get("/healthz").status == 200)
            }
        }

        // MARK: The page

        @Test(.enabled(if: Browser.isThere))
        func `the page shows what happens, in a browser`() throws {
            try withAdminServer { server, admin in
                let client = try server.connect()
                defer { client.close() }
                for _ in 0..<100 { try client.expect("HELLO", to: "hello") }
                let page = try Browser.text(of: "http://\(admin.address)/", waiting: .seconds(4))
                #expect(page.contains("<span id=\"state\" class=\"\">accepting</span>"))
                #expect(page.contains("model green, transform upper"))
                #expect(page.contains("1 connections so far"))
                // Each plot has its line.
                #expect(page.ranges(of: "<polyline class=\"one\" points=\"1").count == 4)
            }
        }
    }
}

/// The other side of the admin interface.
struct Admin: Sendable {
    let address: SocketAddress

    struct Answer: Equatable {
        let status: Int
        let body: String

        init(_ status: Int, _ body: String) { (self.status, self.body) = (status, body) }
    }

    init(_ address: SocketAddress) { self.address = address }

    init(of server: Server) throws {
        let line = try server.program.waitForLine(containing: "admin on http://")
        let text = try #require(line.split(separator: "http://").last).prefix { $0 != " " }
        let colon = try #require(text.lastIndex(of: ":"))
        let port = try #require(UInt16(text[text.index(after: colon)...]))
        address = try #require(SocketAddress(ip: String(text[..<colon]), port: port))
    }

    func get(_ path: String) throws -> Answer { try exchange("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n") }

    /// Sends `request` and reads the answer to its end.
    func exchange(_ request: String) throws -> Answer {
        let client = try Connection.connect(to: address, until: .after(.patient(5)))
        defer { client.close() }
        // It may be refused before it is all there.
        try? client.sendAll(Array(request.utf8))
        let text = String(decoding: try client.receiveToEnd(), as: UTF8.self)
        let words = text.prefix { $0 != "\r\n" }.split(separator: " ")
        let status = try #require(words.dropFirst().first.flatMap { Int($0) }, "\(text)")
        return Answer(status, String(text.split(separator: "\r\n\r\n", maxSplits: 1).dropFirst().first ?? ""))
    }

    /// The samples by their names and labels.
    func metrics() throws -> [String: Double] {
        let lines = try get("/metrics").body.split(separator: "\n").filter { !$0.hasPrefix("#") }
        return try Dictionary(
            uniqueKeysWithValues: lines.map { line in
                let space = try #require(line.lastIndex(of: " "))
                return (String(line[..<space]), try #require(Double(line[line.index(after: space)...])))
            })
    }
}
