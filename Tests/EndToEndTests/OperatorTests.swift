import Glibc
import GreenNet
import TestSupport
import Testing

/// Set by `make test-operators`.
private let areOperatorsThere = getenv("TEST_OPERATORS") != nil

extension EndToEnd {
    /// The server behind HAProxy and nginx, as Debian has them.
    @Suite(.enabled(if: areOperatorsThere, "make test-operators runs it"), .serialized)
    struct OperatorTests {
        /// The address from which a client comes, so that it is not the proxy's.
        private static let client = SocketAddress(ip: "127.0.0.2", port: 0)!
        private static let whoami = ["--proxy-protocol", "required", "--transform", "whoami", "--admin", "127.0.0.1:0"]

        /// What the client behind a proxy is told of itself.
        private func expectToBeKnown(at proxy: RunningProxy, _ model: ServerModel) throws {
            let client = try Connection.connect(
                to: proxy.address, from: OperatorTests.client, until: .after(.patient(10)))
            defer { client.close() }
            try client.sendAll("who\n")
            let line = try #require(try LineReader(client).next(until: .after(.patient(10))))
            #expect(line.hasPrefix("\(try client.localAddress()) \(model.kind.rawValue) "), "\(line)")
        }

        private func expectNoneRefused(_ server: Server, _ admin: Admin) throws {
            let refused = try admin.metrics().filter {
                $0.key.hasPrefix("echo_server_proxy_refused_total") && $0.value > 0
            }
            #expect(refused.isEmpty, "\(refused)")
        }

        // MARK: - HAProxy

        @Test(
            arguments: ServerModel.all,
            [
                "send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority",
                "send-proxy-v2-ssl-cn",
            ])
        func `HAProxy's clients are known by their own addresses`(model: ServerModel, option: String) throws {
            try withServer(model, OperatorTests.whoami) { server in
                let admin = try Admin(of: server)
                try RunningProxy.haproxy(to: [server.address], option) { proxy in
                    for _ in 0..<3 { try expectToBeKnown(at: proxy, model) }
                }
                try expectNoneRefused(server, admin)
            }
        }

        @Test(arguments: ServerModel.all)
        func `HAProxy's own checks are served, and count as no failure`(model: ServerModel) throws {
            try withServer(model, OperatorTests.whoami) { server in
                let admin = try Admin(of: server)
                try RunningProxy.haproxy(to: [server.address], "send-proxy-v2 check inter 50ms") { proxy in
                    // The checks of HAProxy send LOCAL and end.
                    try #expect(eventuallyOnHub { try admin.metrics()["echo_server_proxy_headers_total"] ?? 0 >= 5 })
                    try expectToBeKnown(at: proxy, model)
                }
                try expectNoneRefused(server, admin)
            }
        }

        @Test(arguments: ServerModel.all)
        func `HAProxy speaks TLS behind its header`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let files = TLSTests.Files(directory: directory)
                try files.write(Certificates.all.server)
                try withServer(model, OperatorTests.whoami + files.serverOptions) { server in
                    try RunningProxy.haproxy(to: [server.address], "send-proxy-v2 ssl verify none") { proxy in
                        try expectToBeKnown(at: proxy, model)
                    }
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `HAProxy's clients have limits of their own`(model: ServerModel) throws {
            let options = OperatorTests.whoami + ["--max-connections-per-ip", "1"]
            try withServer(model, options) { server in
                try RunningProxy.haproxy(to: [server.address], "send-proxy-v2") { proxy in
                    func connect(_ address: String) throws -> Connection {
                        let client = try Connection.connect(
                            to: proxy.address, from: SocketAddress(ip: address, port: 0), until: .after(.patient(10)))
                        try client.sendAll("who\n")
                        return client
                    }
                    let first = try connect("127.0.0.2")
                    defer { first.close() }
                    try #expect(first.receive() != nil)
                    let other = try connect("127.0.0.3")
                    defer { other.close() }
                    try #expect(other.receive() != nil)
                    let second = try connect("127.0.0.2")
                    defer { second.close() }
                    #expect((try? second.receiveToEnd())?.isEmpty ?? true)
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `without a header, HAProxy's clients are refused and counted`(model: ServerModel) throws {
            try withServer(model, OperatorTests.whoami) { server in
                try RunningProxy.haproxy(to: [server.address], "") { proxy in
                    let client = try Connection.connect(to: proxy.address)
                    defer { client.close() }
                    try client.sendAll("hello, this is no header\n")
                    #expect((try? client.receiveToEnd())?.isEmpty ?? true)
                }
                try #expect(
                    eventuallyOnHub {
                        try Admin(of: server).metrics()["echo_server_proxy_refused_total{reason=\"absent\"}"] == 1
                    })
            }
        }

        @Test(arguments: ServerModel.all)
        func `HAProxy takes a lame duck out before it stops, and no client is lost`(model: ServerModel) throws {
            let options = OperatorTests.whoami + ["--lame-duck", "2"]
            try withServer(model, options) { stopping in
                let staying = try Server.start(model, options)
                defer { staying.program.end() }
                let checks = try [stopping, staying].map { server in
                    "send-proxy-v2 check port \(try Admin(of: server).address.port!) inter 50ms fall 1 rise 1"
                }
                try RunningProxy.haproxy(
                    to: [stopping.address, staying.address], checks, backend: "option httpchk GET /readyz"
                ) { proxy in
                    let begin = Deadline.now
                    var (served, hasSignalled) = (0, false)
                    while Deadline.now - begin < .seconds(4) {
                        try expectToBeKnown(at: proxy, model)
                        served += 1
                        if served == 20 {
                            stopping.program.send(SIGTERM)
                            hasSignalled = true
                        }
                    }
                    #expect(hasSignalled && served > 40)
                    try #expect(stopping.program.waitForExitOnHub() == .status(0))
                }
            }
        }

        // MARK: - nginx

        @Test(arguments: ServerModel.all)
        func `nginx's clients are known by their own addresses`(model: ServerModel) throws {
            try withServer(model, OperatorTests.whoami) { server in
                let admin = try Admin(of: server)
                try RunningProxy.nginx(to: server.address) { proxy in
                    for _ in 0..<3 { try expectToBeKnown(at: proxy, model) }
                }
                try expectNoneRefused(server, admin)
            }
        }

        @Test(arguments: ServerModel.all)
        func `nginx speaks TLS behind its header`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let files = TLSTests.Files(directory: directory)
                try files.write(Certificates.all.server)
                try withServer(model, OperatorTests.whoami + files.serverOptions) { server in
                    try RunningProxy.nginx(to: server.address, "proxy_ssl on;") { proxy in
                        try expectToBeKnown(at: proxy, model)
                    }
                }
            }
        }
    }
}
