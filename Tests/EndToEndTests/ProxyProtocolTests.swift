import Glibc
import GreenNet
import GreenTLS
import ProgramKit
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-server --proxy-protocol` and `echo-client --send-proxy`.
    @Suite(.serialized) struct ProxyProtocolTests {
        private static let required = [
            "--proxy-protocol", "required", "--admin", "127.0.0.1:0", "--log-level", "debug",
        ]
        private static let optional = [
            "--proxy-protocol", "optional", "--admin", "127.0.0.1:0", "--log-level", "debug",
        ]

        private static func header(
            _ client: String, _ version: ProxyHeader.Version = .v2, port: UInt16 = 4242
        ) throws -> [UInt8] {
            let source = try #require(SocketAddress(ip: client, port: port))
            let destination = try #require(
                SocketAddress(ip: client.contains(":") ? "2001:db8::7" : "203.0.113.7", port: 7))
            return ProxyHeader(version, .init(source: source, destination: destination)).bytes
        }

        private func refused(_ reason: String, _ admin: Admin) throws -> Double? {
            try admin.metrics()["echo_server_proxy_refused_total{reason=\"\(reason)\"}"]
        }

        // MARK: - Headers that are taken

        @Test(arguments: ServerModel.all, ProxyHeader.Version.allCases)
        func `a client behind a proxy is served, and what follows the header is the client's`(
            model: ServerModel, version: ProxyHeader.Version
        ) throws {
            try withServer(model, ProxyProtocolTests.required) { server in
                for client in ["192.0.2.1", "2001:db8::1"] {
                    let connection = try server.connect()
                    defer { connection.close() }
                    // In one piece with what follows, and then byte by byte.
                    let header = try ProxyProtocolTests.header(client, version)
                    try connection.sendAll(header + Array("hello".utf8))
                    try #expect(connection.receive(exactly: 5) == Array("HELLO".utf8))
                    let slow = try server.connect()
                    defer { slow.close() }
                    for byte in header {
                        try slow.sendAll([byte])
                        try Greenlet.yield()
                    }
                    try slow.expect("\r\nHELLO", to: "\r\nhello")
                }
                let line = try server.program.waitOnHub(forLineContaining: "proxied_peer=[2001:db8::1]:4242")
                #expect(line.contains("PROXY header") && line.contains("peer=127.0.0.1:"))
            }
        }

        @Test(arguments: ServerModel.all)
        func `a proxy's own connections are served, and a client's end before a header is no failure`(
            model: ServerModel
        ) throws {
            try withServer(model, ProxyProtocolTests.required) { server in
                for header in [ProxyHeader(.v2, nil, isLocal: true), ProxyHeader(.v1, nil)] {
                    let connection = try server.connect()
                    defer { connection.close() }
                    try connection.sendAll(header.bytes)
                    try connection.expect("CHECK", to: "check")
                }
                try server.connect().close()
                let admin = try Admin(of: server)
                try #expect(
                    eventuallyOnHub { try admin.metrics()["echo_server_ended_total{end=\"done\"}"] == 3 })
                for reason in ProxyHeaderError.Reason.allCases {
                    let label = reason == .tooLong ? "too_long" : reason.rawValue
                    try #expect(refused(label, admin) == 0)
                }
                try #expect(admin.metrics()["echo_server_proxy_headers_total"] == 2)
            }
        }

        // MARK: - Headers that are not

        @Test(arguments: ServerModel.all)
        func `each wrong header closes its connection, is logged and counted, and no other client is lost`(
            model: ServerModel
        ) throws {
            let binary = ProxyHeaderParser.signature
            let cases: [(String, [UInt8])] = [
                ("absent", Array("GET / HTTP/1.0\r\n\r\n".utf8)),
                ("too_long", Array("PROXY UNKNOWN ".utf8) + Array(repeating: 0x78, count: 200)),
                ("too_long", binary + [0x21, 0x11, 0xff, 0xff]),
                ("malformed", Array("PROXY TCP4 1.1.1.1 1.1.1.1 1 99999\r\n".utf8)),
                ("malformed", binary + [0x31, 0x11, 0, 0]),
                ("checksum", try ProxyProtocolTests.header("192.0.2.1").dropLast() + [0]),
                ("doubled", try ProxyProtocolTests.header("192.0.2.1") + ProxyProtocolTests.header("192.0.2.2", .v1)),
                ("doubled", try ProxyProtocolTests.header("192.0.2.1") + ProxyProtocolTests.header("192.0.2.2")),
            ]
            try withServer(model, ProxyProtocolTests.required) { server in
                let other = try server.connect()
                defer { other.close() }
                try other.sendAll(ProxyProtocolTests.header("192.0.2.9"))
                try other.expect("FIRST", to: "first")
                let admin = try Admin(of: server)
                for (reason, bytes) in cases {
                    let before = try refused(reason, admin) ?? 0
                    let connection = try server.connect()
                    try connection.sendAll(bytes)
                    // A reset, where bytes were left in the server's socket.
                    let rest = try? connection.receiveToEnd()
                    #expect(rest?.isEmpty ?? true, "\(reason)")
                    connection.close()
                    try #expect(eventuallyOnHub { try refused(reason, admin) == before + 1 }, "\(reason)")
                    try server.program.waitOnHub(forLineContaining: "reason=\(reason)")
                }
                try other.expect("STILL HERE", to: "still here")
            }
        }

        @Test(arguments: ServerModel.all)
        func `a header that is cut off or late ends its connection`(model: ServerModel) throws {
            try withServer(model, ProxyProtocolTests.required + ["--proxy-timeout", "0.3"]) { server in
                let admin = try Admin(of: server)
                let half = try ProxyProtocolTests.header("192.0.2.1").prefix(20)
                let cut = try server.connect()
                defer { cut.close() }
                try cut.sendAll(half)
                try cut.shutdownSending()
                try #expect(cut.receiveToEnd().isEmpty)
                let late = try server.connect()
                defer { late.close() }
                try late.sendAll(half)
                try #expect(late.receiveToEnd().isEmpty)
                try #expect(eventuallyOnHub { try refused("cut", admin) == 1 && refused("late", admin) == 1 })
                let line = try server.program.waitOnHub(forLineContaining: "reason=late")
                #expect(line.contains("20 bytes of a header within 0.3 seconds"))
            }
        }

        @Test(arguments: ServerModel.all)
        func `a header of another than the trusted proxies is refused`(model: ServerModel) throws {
            let elsewhere = ["--proxy-trusted", "192.0.2.0/24,2001:db8::/32"]
            try withServer(model, ProxyProtocolTests.required + elsewhere) { server in
                let client = try server.connect()
                defer { client.close() }
                try? client.sendAll(ProxyProtocolTests.header("192.0.2.1"))
                #expect((try? client.receiveToEnd())?.isEmpty ?? true)
                try #expect(eventuallyOnHub { try refused("untrusted", Admin(of: server)) == 1 })
            }
            try withServer(model, ProxyProtocolTests.optional + elsewhere) { server in
                let plain = try server.connect()
                defer { plain.close() }
                try plain.expect("PLAIN", to: "plain")
                let client = try server.connect()
                defer { client.close() }
                try client.sendAll(ProxyProtocolTests.header("192.0.2.1", .v1))
                _ = try? client.receiveToEnd()
                try #expect(eventuallyOnHub { try refused("untrusted", Admin(of: server)) == 1 })
                try plain.expect("STILL", to: "still")
            }
        }

        // MARK: - Without one

        @Test(arguments: ServerModel.all)
        func `where a header is optional, clients without one are served from their first byte`(
            model: ServerModel
        ) throws {
            try withServer(model, ProxyProtocolTests.optional + ["--proxy-timeout", "0.2"]) { server in
                for text in ["x", "hello", "PROXIED", "\r\n\r\nhello", String(repeating: "PRO", count: 1000)] {
                    let client = try server.connect()
                    defer { client.close() }
                    try client.expect(text.uppercased(), to: text)
                    try client.expect("MORE", to: "more")
                }
                // The time for a header passes.
                let waiting = try server.connect()
                defer { waiting.close() }
                try waiting.expect("PROXY", to: "PROXY")
                let short = try server.connect()
                defer { short.close() }
                try short.sendAll(Array("PR".utf8))
                try short.shutdownSending()
                try #expect(short.receiveToEnd() == Array("PR".utf8))
                let proxied = try server.connect()
                defer { proxied.close() }
                try proxied.sendAll(ProxyProtocolTests.header("192.0.2.1"))
                try proxied.expect("BEHIND", to: "behind")
            }
        }

        // MARK: - Limits

        @Test(arguments: ServerModel.all)
        func `the limit for each address counts clients, and not their proxy`(model: ServerModel) throws {
            try withServer(model, ProxyProtocolTests.required + ["--max-connections-per-ip", "1"]) { server in
                func connect(_ client: String) throws -> Connection {
                    let connection = try server.connect()
                    try connection.sendAll(ProxyProtocolTests.header(client))
                    return connection
                }
                let first = try connect("192.0.2.1")
                try first.expect("ONE", to: "one")
                let second = try connect("192.0.2.2")
                defer { second.close() }
                try second.expect("TWO", to: "two")
                let third = try connect("192.0.2.1")
                defer { third.close() }
                #expect((try? third.receiveToEnd())?.isEmpty ?? true)
                try server.program.waitOnHub(forLineContaining: "refusal=peer_full")
                first.close()
                // The place is free again once the server has seen the end.
                let isFree = try eventuallyOnHub {
                    let again = try connect("192.0.2.1")
                    defer { again.close() }
                    return (try? again.expect("AGAIN", to: "again")) != nil
                }
                #expect(isFree)
            }
        }

        @Test(arguments: ServerModel.testable(.process, .processPool, .greenProcesses))
        func `a process that is killed leaves no client counted`(model: ServerModel) throws {
            try withServer(model, ProxyProtocolTests.required + ["--max-connections-per-ip", "1"]) { server in
                func connect() throws -> Connection {
                    let connection = try server.connect()
                    try connection.sendAll(ProxyProtocolTests.header("192.0.2.1"))
                    return connection
                }
                let first = try connect()
                defer { first.close() }
                try first.expect("ONE", to: "one")
                for child in try server.program.status().children { kill(child, SIGKILL) }
                _ = try? first.receiveToEnd()
                let isFree = try eventuallyOnHub {
                    guard let again = try? connect() else { return false }
                    defer { again.close() }
                    return (try? again.expect("AGAIN", to: "again")) != nil
                }
                #expect(isFree)
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        // MARK: - With TLS, and the client

        @Test(arguments: ServerModel.all, ["v1", "v2"])
        func `echo-client sends a header before its handshake`(model: ServerModel, version: String) throws {
            try withTemporaryDirectory { directory in
                let files = TLSTests.Files(directory: directory)
                try files.write(Certificates.all.server)
                try write(Certificates.all.authority.certificate, to: files.authority)
                try withServer(model, ProxyProtocolTests.required + files.serverOptions) { server in
                    let place = ["127.0.0.1", "\(try server.port)"] + files.client
                    let ping = try Program.run(
                        Program.built("echo-client", ["ping", "--send-proxy", version] + place))
                    #expect(ping.exit == .status(0), "\(ping.error)")
                    let without = try Program.run(Program.built("echo-client", ["ping"] + place))
                    #expect(without.exit == .status(1))
                    try #expect(eventuallyOnHub { try refused("absent", Admin(of: server)) == 1 })
                }
            }
        }

        @Test func `a load sends a header on each connection`() throws {
            try withServer(.green, ProxyProtocolTests.required) { server in
                for mode in ["steady", "churn"] {
                    let load = try Program.run(
                        Program.built(
                            "echo-client",
                            ["load", "127.0.0.1", "\(try server.port)", "--send-proxy", "v2", "--mode", mode]
                                + ["--duration", "0.2", "--connections", "4"]))
                    #expect(load.exit == .status(0), "\(load.error) \(load.output)")
                }
            }
        }

        @Test(arguments: [
            (["--proxy-protocol", "maybe"], "'maybe' is not off, optional or required"),
            (["--proxy-trusted", "10.0.0.1/8"], "'10.0.0.1/8' has bits behind its prefix"),
            (["--proxy-trusted", "localhost"], "'localhost' is no address"),
            (["--proxy-timeout", "0.0001"], "is not a number from 0.001 to 3153600000 seconds, or 0"),
        ])
        func `settings that make no sense are refused in words`(arguments: [String], words: String) throws {
            let end = try Program.run(Program.built("echo-server", arguments))
            #expect(end.exit == .status(64) && end.error.contains(words), "\(end.error)")
        }
    }
}
