import Glibc
import GreenNet
import TestSupport
import Testing

@testable import class EchoServer.AdminSeats

extension EndToEnd {
    /// What the admin interface reports, and how it treats bad clients.
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
        func `the metrics cover the whole service and add up`(model: ServerModel) throws {
            try withAdminServer(model) { server, admin in
                for _ in 0..<5 { try #expect(server.answer(to: "hello") == "HELLO") }
                let client = try server.connect()
                defer { client.close() }
                try client.expect("STAY", to: "stay")
                // The server counts bytes as sent when the kernel has taken them: a client may be faster.
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
                #expect(try #require(metrics["echo_server_reads_total"]) >= 6)
                // The old name stays for one release.
                #expect(metrics["echo_server_messages_total"] == metrics["echo_server_reads_total"])
                #expect(metrics["echo_server_ready"] == 1)
                #expect(metrics.keys.contains { $0.contains("model=\"\(model.kind)\"") })
            }
        }

        @Test func `each hub reports its loop lag, its green threads and its stacks`() throws {
            try withAdminServer(ServerModel(.green, "--workers", "2")) { server, admin in
                let clients = try (0..<20).map { _ in try server.connect() }
                defer { for client in clients { client.close() } }
                let areTold = try eventuallyOnHub {
                    let metrics = try admin.metrics()
                    let threads = (0..<2).compactMap { metrics["echo_server_green_threads{hub=\"\($0)\"}"] }
                    return threads.count == 2 && threads.reduce(0, +) >= 20 + Double(AdminSeats.count)
                }
                #expect(areTold)
                // It is measured in turns: the first may be due after the clients came.
                let lag = "echo_server_hub_lag_peak_seconds{hub=\"1\"}"
                let isMeasured = try eventuallyOnHub { try #require(try admin.metrics()[lag]) > 0 }
                #expect(isMeasured)
            }
        }

        @Test(arguments: ServerModel.all)
        func `readyz is 200 until the server drains, then 503`(model: ServerModel) throws {
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
        func `a stuck hub makes the service unhealthy`() throws {
            let model = ServerModel(.green, "--processes", "2")
            try withAdminServer(model, ["--worker-timeout", "0"]) { server, admin in
                let child = try #require(try server.program.status().children.first)
                try #expect(admin.get("/healthz").status == 200)
                kill(child, SIGSTOP)
                defer { kill(child, SIGCONT) }
                let isTold = try eventuallyOnHub(within: .seconds(15)) { try admin.get("/healthz").status == 503 }
                #expect(isTold)
                let body = try admin.get("/healthz").body
                #expect(body.contains(/^hub [01] has been stuck for [0-9]+(\.[0-9]{1,3})? seconds\n$/), "\(body)")
                kill(child, SIGCONT)
                try #expect(eventuallyOnHub { try admin.get("/healthz").status == 200 })
            }
        }

        @Test func `the green threads of all hubs are listed with what they wait for and for how long`() throws {
            try withAdminServer(ServerModel(.green, "--workers", "2")) { server, admin in
                let clients = try (0..<8).map { _ in try server.connect() }
                defer { for client in clients { client.close() } }
                for client in clients { try client.expect("X", to: "x") }
                let text = try admin.get("/threads").body
                #expect(text.contains("hub 0\n") && text.contains("hub 1\n"))
                #expect(text.split(separator: "\n").count { $0.contains("to be readable, for ") } >= 8)
                // The clients are silent from now on.
                try #expect(
                    eventually(within: .seconds(20)) {
                        try admin.get("/threads").body.split(separator: "\n")
                            .count { $0.contains("to be readable, for ") && !$0.contains(", for 0.") } >= 8
                    })
            }
        }

        @Test func `the admin interface listens on a unix socket and removes its path at the end`() throws {
            try withTemporaryPath { path in
                try withServer(.green, ["--admin", path]) { server in
                    try #expect(Admin(.unix(path: path)).get("/readyz").status == 200)
                    server.program.send(SIGTERM)
                    #expect(try server.program.waitForExit() == .status(0))
                    #expect(access(path, F_OK) != 0)
                }
            }
        }

        @Test func `an admin address in use ends the start with status 69`() throws {
            try withAdminServer { _, admin in
                let result = try Program.run(
                    Program.built("echo-server", ["--port", "0", "--admin", "\(admin.address)"]))
                #expect(result.exit == .status(69))
                #expect(result.error.contains("cannot bind \(admin.address): address already in use (EADDRINUSE)"))
            }
        }

        // MARK: Bad clients

        @Test(arguments: [
            ("GARBAGE\r\n\r\n", 400), ("GET /readyz HTTP/1.1\r\nHost : x\r\n\r\n", 400),
            ("GET /readyz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
            ("GET http://x/readyz HTTP/1.1\r\n\r\n", 400), (String(repeating: "\r\n", count: 4096), 431),
            ("\u{16}\u{3}\u{1}\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET /nothing HTTP/1.0\r\n\r\n", 404), ("GET /../etc/passwd HTTP/1.0\r\n\r\n", 404),
            ("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 405), ("GET / HTTP/2.0\r\n\r\n", 505),
            ("GET /" + String(repeating: "x", count: 10_000) + " HTTP/1.0\r\n\r\n", 431),
            // The request is one byte longer than 8 KiB.
            ("GET /" + String(repeating: "x", count: 8192 - 18) + " HTTP/1.0\r\n\r\n", 404),
            ("GET /" + String(repeating: "x", count: 8193 - 18) + " HTTP/1.0\r\n\r\n", 431),
            ("GET / HTTP/1.0\r\nX: " + String(repeating: "x", count: 100_000), 431),
        ])
        func `a bad request is answered and its connection closed`(text: String, status: Int) throws {
            try withAdminServer { _, admin in
                try #expect(admin.exchange(text).status == status)
                try #expect(admin.get("/healthz").status == 200)
            }
        }

        @Test func `a request that comes byte by byte is answered`() throws {
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

        @Test func `silent clients get 408 after the request timeout`() throws {
            try withAdminServer { server, admin in
                let silent = try (0..<15).map { _ in try Connection.connect(to: admin.address) }
                defer { for client in silent { client.close() } }
                try #expect(admin.get("/healthz").status == 200)
                try #expect(server.answer(to: "hello") == "HELLO")
                for client in silent { try #expect(client.answer.hasPrefix("HTTP/1.1 408 ")) }
            }
        }

        @Test(arguments: ServerModel.testable(.green, .thread, .process))
        func `a probe is answered at once, with any number of silent and slow clients`(model: ServerModel) throws {
            try withAdminServer(model) { server, admin in
                var crowd: [Connection] = []
                defer { for client in crowd { client.close() } }
                for round in 0..<5 {
                    for number in 0..<64 {
                        let client = try Connection.connect(to: admin.address)
                        crowd.append(client)
                        // Some clients send a byte, others an almost complete request, others nothing.
                        if number % 4 == 1 { try client.sendAll(Array("G".utf8)) }
                        if number % 4 == 2 { try client.sendAll(Array("GET / HTTP/1.0\r\n".utf8)) }
                    }
                    let start = Deadline.now
                    for path in ["/healthz", "/readyz", "/metrics"] { try #expect(admin.get(path).status == 200) }
                    #expect(Deadline.now - start < slack, "round \(round)")
                }
                try #expect(server.answer(to: "hello") == "HELLO")
            }
        }

        @Test func `with more clients than seats, the oldest give way`() throws {
            try withAdminServer { _, admin in
                let crowd = try (0..<50).map { _ in try Connection.connect(to: admin.address) }
                defer { for client in crowd { client.close() } }
                for client in crowd.dropLast(AdminSeats.count) { try #expect(client.answer.hasPrefix("HTTP/1.1 408 ")) }
                // The other clients may still send requests.
                for client in crowd.suffix(AdminSeats.count) {
                    try client.sendAll(Array("GET /readyz HTTP/1.0\r\n\r\n".utf8))
                    try #expect(client.answer.hasSuffix("\r\n\r\nready\n"))
                }
            }
        }

        @Test func `a complete request is answered, with any number of clients after it`() throws {
            try withAdminServer { server, admin in
                // While the process is stopped, all clients connect: first those with requests.
                server.program.send(SIGSTOP)
                let requests = try (0..<AdminSeats.count).map { _ in
                    let client = try Connection.connect(to: admin.address)
                    try client.sendAll(Array("GET /readyz HTTP/1.0\r\n\r\n".utf8))
                    return client
                }
                let silent = try (0..<64).map { _ in try Connection.connect(to: admin.address) }
                defer { for client in requests + silent { client.close() } }
                server.program.send(SIGCONT)
                for client in requests { try #expect(client.answer.hasSuffix("\r\n\r\nready\n")) }
            }
        }

        /// The clients ask for more than the kernel's buffers hold.
        @Test(.enabled(if: Sanitizer.active != .thread, "ThreadSanitizer takes minutes for thousands of green threads"))
        func `clients that do not read their answers delay other clients only briefly`() throws {
            try withTemporaryPath { path in
                try withServer(.green, ["--admin", path]) { server in
                    let admin = Admin(.unix(path: path))
                    let clients = try (0..<3000).map { _ in try server.connect() }
                    defer { for client in clients { client.close() } }
                    let unread = try (0..<AdminSeats.count).map { _ in
                        let client = try Connection.connect(to: admin.address)
                        try client.sendAll(Array("GET /threads HTTP/1.0\r\n\r\n".utf8))
                        return client
                    }
                    defer { for client in unread { client.close() } }
                    let start = Deadline.now
                    try #expect(admin.get("/healthz").status == 200)
                    #expect(Deadline.now - start < .seconds(1) + slack)
                }
            }
        }

        @Test(
            .enabled(if: Sanitizer.active == .none, "a sanitizer needs memory of its own"),
            arguments: ServerModel.testable(.green, .greenWorkers))
        func `a probe is answered without memory for another stack`(model: ServerModel) throws {
            let faults = try Faults()
            try withServer(model, ["--admin", "127.0.0.1:0"], adjust: { faults.preload(&$0) }) { server in
                let admin = try Admin(of: server)
                faults.failAll(.mmap, with: ENOMEM)
                defer { faults.stopFailing(.mmap) }
                // Clients connect until all stacks in store are taken and the server refuses a client.
                var clients: [Connection] = []
                defer { for client in clients { client.close() } }
                while try admin.metrics()["echo_server_refused_total{reason=\"no_context\"}"] == 0, clients.count < 500
                {
                    clients.append(try server.connect())
                }
                #expect(clients.count < 500)
                let silent = try (0..<20).map { _ in try Connection.connect(to: admin.address) }
                for path in ["/healthz", "/readyz", "/metrics"] { try #expect(admin.get(path).status == 200) }
                for client in silent { client.close() }
            }
        }

        @Test(.enabled(if: Sanitizer.active == .none, "a sanitizer has descriptors of its own"))
        func `a probe is answered without a descriptor left`() throws {
            try withServer(.green, ["--admin", "127.0.0.1:0"], adjust: { $0.setup = "ulimit -n 24" }) { server in
                let admin = try Admin(of: server)
                let clients = try (0..<40).map { _ in try server.connect() }
                defer { for client in clients { client.close() } }
                try server.program.waitOnHub(forLineContaining: "not accepting for now")
                for _ in 0..<5 {
                    let silent = try (0..<20).map { _ in try Connection.connect(to: admin.address) }
                    for path in ["/healthz", "/readyz", "/metrics"] { try #expect(admin.get(path).status == 200) }
                    for client in silent { client.close() }
                }
            }
        }

        @Test func `endless bytes behind a request are not read for ever`() throws {
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

        // MARK: What other programs send

        @Test(arguments: [
            "\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http://x:9090/readyz HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET HTTPS://[::1]/readyz?a=/ HTTP/1.1\r\nHost: y\r\n\r\n",
            "GET /re%61dyz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /readyz?x=%zz HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
            "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n"
                + String(repeating: "x", count: 600_000),
            "GET /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ])
        func `unusual forms of a request for readyz each get one answer`(text: String) throws {
            try withAdminServer { _, admin in
                let answer = try admin.text(answering: Array(text.utf8))
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\nready\n"))
                #expect(answer.ranges(of: "HTTP/1.1").count == 1)
            }
        }

        @Test func `a field may have a value in Latin-1`() throws {
            try withAdminServer { _, admin in
                let request =
                    Array("GET /readyz HTTP/1.1\r\nHost: x\r\nUser-Agent: caf".utf8) + [0xe9] + Array("\r\n\r\n".utf8)
                try #expect(admin.text(answering: request).hasSuffix("\r\n\r\nready\n"))
            }
        }

        /// Requests as HAProxy's `option httpchk` and other programs send them.
        @Test(arguments: [
            "OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS /readyz HTTP/1.0\r\n\r\n",
            "OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        ])
        func `OPTIONS is answered with the allowed methods`(text: String) throws {
            try withAdminServer { _, admin in
                let answer = try admin.text(answering: Array(text.utf8))
                #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\n"))
                #expect(answer.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n") && answer.hasSuffix("\r\n\r\n"))
                #expect(!answer.contains("\r\nContent-Length:") && !answer.contains("\r\nContent-Type:"))
            }
        }

        @Test func `OPTIONS of a missing page or a failing check has the status of GET`()
            throws
        {
            try withAdminServer { server, admin in
                try #expect(admin.exchange("OPTIONS /nothing HTTP/1.0\r\n\r\n").status == 404)
                let client = try server.connect()
                try client.expect("HELLO", to: "hello")
                server.program.send(SIGTERM)
                let isDraining = try eventuallyOnHub { try admin.get("/readyz").status == 503 }
                #expect(isDraining)
                try #expect(admin.exchange("OPTIONS /readyz HTTP/1.0\r\n\r\n") == admin.get("/readyz"))
                client.close()
                #expect(try server.program.waitForExit() == .status(0))
            }
        }

        @Test func `HEAD is answered with the fields of GET and no body`() throws {
            try withAdminServer { _, admin in
                let answer = try admin.text(answering: Array("HEAD /readyz HTTP/1.0\r\n\r\n".utf8))
                #expect(answer.contains("\r\nContent-Length: 6\r\n") && answer.hasSuffix("\r\n\r\n"))
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
                // Each plot has a line.
                #expect(page.ranges(of: "<polyline class=\"one\" points=\"1").count == 4)
            }
        }
    }
}

/// A client of the admin interface.
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
    func text(answering request: [UInt8]) throws -> String {
        let client = try Connection.connect(to: address, until: .after(.patient(5)))
        defer { client.close() }
        // The server may refuse the request before it has received all of it.
        try? client.sendAll(request)
        return try client.answer
    }

    func exchange(_ request: String) throws -> Answer {
        let text = try text(answering: Array(request.utf8))
        let words = text.prefix { $0 != "\r\n" }.split(separator: " ")
        let status = try #require(words.dropFirst().first.flatMap { Int($0) }, "\(text)")
        return Answer(status, String(text.split(separator: "\r\n\r\n", maxSplits: 1).dropFirst().first ?? ""))
    }

    /// The samples by name and labels.
    func metrics() throws -> [String: Double] {
        let lines = try get("/metrics").body.split(separator: "\n").filter { !$0.hasPrefix("#") }
        return try Dictionary(
            uniqueKeysWithValues: lines.map { line in
                let space = try #require(line.lastIndex(of: " "))
                return (String(line[..<space]), try #require(Double(line[line.index(after: space)...])))
            })
    }
}

extension Connection {
    /// Everything that comes until the other side ends.
    fileprivate var answer: String {
        get throws { String(decoding: try receiveToEnd(), as: UTF8.self) }
    }
}
