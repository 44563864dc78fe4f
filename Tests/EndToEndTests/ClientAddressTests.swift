import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

extension EndToEnd {
    /// `--allow`, `--deny`, `--new-per-address`, and the level of the log after a reload.
    @Suite(.serialized) struct ClientAddressTests {
        private func refused(_ reason: String, _ server: Server) throws -> Double? {
            try Admin(of: server).metrics()["echo_server_refused_total{reason=\"\(reason)\"}"]
        }

        private func isServed(_ server: Server, behind proxied: String? = nil) throws -> Bool {
            let client = try server.connect()
            defer { client.close() }
            if let proxied {
                let ends = ProxyHeader.Ends(
                    source: try #require(SocketAddress(ip: proxied, port: 1)), destination: .loopback(port: 2))
                try? client.sendAll(ProxyHeader(.v2, ends).bytes)
            }
            return (try? client.expect("HELLO", to: "hello")) != nil
        }

        @Test(arguments: ServerModel.all)
        func `an address that is denied, or not allowed, is closed and counted`(model: ServerModel) throws {
            for options in [["--deny", "127.0.0.0/8"], ["--allow", "192.0.2.0/24"]] {
                try withServer(model, options + ["--admin", "127.0.0.1:0", "--log-level", "debug"]) { server in
                    try #expect(!isServed(server))
                    try #expect(eventuallyOnHub { try refused("denied", server) == 1 })
                    try server.program.waitOnHub(forLineContaining: "refusal=denied")
                }
            }
            try withServer(model, ["--allow", "127.0.0.1"]) { server in try #expect(isServed(server)) }
        }

        @Test(arguments: ServerModel.all)
        func `the addresses of clients behind a proxy are denied, and not the proxy's`(model: ServerModel) throws {
            let options = ["--proxy-protocol", "required", "--allow", "192.0.2.0/24", "--admin", "127.0.0.1:0"]
            try withServer(model, options) { server in
                try #expect(isServed(server, behind: "192.0.2.1"))
                try #expect(!isServed(server, behind: "198.51.100.1"))
                try #expect(eventuallyOnHub { try refused("denied", server) == 1 })
            }
        }

        @Test(arguments: ServerModel.all)
        func `an address that connects too fast is closed, over all hubs and processes`(model: ServerModel) throws {
            try withServer(model, ["--new-per-address", "5/3600", "--admin", "127.0.0.1:0"]) { server in
                let served = try (0..<20).map { _ in try isServed(server) }
                #expect(served.count { $0 } == 5 && served.prefix(5).allSatisfy { $0 })
                try #expect(eventuallyOnHub { try refused("too_fast", server) == 15 })
            }
        }

        @Test(arguments: ServerModel.all)
        func `a reload changes the level of the log, for all processes`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let file = "\(directory)/settings"
                try write("log-level = notice\ndeny = 127.0.0.0/8\n", to: file)
                try withServer(model, ["--config", file]) { server in
                    try #expect(!isServed(server))
                    try write("log-level = debug\ndeny = 127.0.0.0/8\n", to: file)
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "settings reloaded changed=log-level")
                    try #expect(!isServed(server))
                    try server.program.waitOnHub(forLineContaining: "refusal=denied")
                    #expect(server.log.count { $0.contains("refusal=denied") } == 1)
                }
            }
        }
    }
}
