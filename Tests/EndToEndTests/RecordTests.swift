import Glibc
import GreenNet
import GreenTLS
import ProgramKit
import TestSupport
import Testing

extension EndToEnd {
    /// `--record`, `--banner` and the transforms that need a handler of their own.
    @Suite(.serialized) struct RecordTests {
        private func records(_ path: String) -> [Substring] {
            ProcessStatus.contents(of: path)?.split(separator: "\n") ?? []
        }

        /// A worker opens the file for its first record: it has one descriptor more than at first.
        private func endIfSupervised(_ server: Server, _ model: ServerModel) throws {
            guard model.isSupervised else { return }
            server.program.send(SIGTERM)
            try #expect(server.program.waitForExitOnHub() == .status(0))
        }

        @Test(arguments: ServerModel.all)
        func `each connection has a record at its end`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/records"
                try withServer(model, ["--record", path, "--idle-timeout", "0.5", "--admin", "127.0.0.1:0"]) { server in
                    let client = try server.connect()
                    let port = try client.localAddress().port!
                    try client.expect("HELLO", to: "hello")
                    #expect(records(path).isEmpty)
                    client.close()
                    try #expect(eventuallyOnHub { records(path).count == 1 })
                    let line = records(path)[0]
                    #expect(
                        line.contains(#""peer":"127.0.0.1:\#(port)","proxied_peer":null,"local":"\#(server.address)""#))
                    #expect(line.contains(#""bytes_in":5,"bytes_out":5,"reads":1,"end":"done","tls":null}"#))
                    #expect(line.contains(#""model":"\#(model.kind.rawValue)""#))
                    let idle = try server.connect()
                    defer { idle.close() }
                    try #expect(eventuallyOnHub { records(path).count == 2 })
                    #expect(records(path)[1].contains(#""bytes_in":0,"bytes_out":0,"reads":0,"end":"idle""#))
                    try #expect(
                        eventuallyOnHub {
                            try Admin(of: server).metrics()["echo_server_records_total{result=\"written\"}"] == 2
                        })
                    try endIfSupervised(server, model)
                }
            }
        }

        @Test func `a file of records that cannot be opened anew is an error of the reload, and the old one is kept`()
            throws
        {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/logs/records"
                mkdir("\(directory)/logs", 0o700)
                try withServer(.green, ["--record", path]) { server in
                    rename("\(directory)/logs", "\(directory)/old")
                    server.program.send(SIGHUP)
                    let line = try server.program.waitForLine(containing: "not reloaded")
                    #expect(line.contains("record: cannot open \(path): no such file or directory (ENOENT)"))
                    try #expect(server.answer(to: "one") == "ONE")
                    try #expect(eventuallyOnHub { records("\(directory)/old/records").count == 1 })
                    mkdir("\(directory)/logs", 0o700)
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "settings reloaded")
                    try #expect(server.answer(to: "two") == "TWO")
                    try #expect(eventuallyOnHub { records(path).count == 1 })
                }
            }
        }

        /// Those of one process: several gather each for themselves.
        @Test(arguments: ServerModel.all)
        func `at a signal to stop, no record is lost, and those of a process lie in the order of the ends`(
            model: ServerModel
        ) throws {
            try withTemporaryPath("records") { path in
                try withServer(model, ["--record", path]) { server in
                    let ports = try (0..<60).map { _ in try portOfEndedClient(server) }
                    server.program.send(SIGTERM)
                    try #expect(server.program.waitForExitOnHub() == .status(0))
                    let found = self.ports(path)
                    #expect(found.sorted() == ports.sorted())
                    if model == .green { #expect(found == ports) }
                }
            }
        }

        /// A connection that ends for both sides.
        private func portOfEndedClient(_ server: Server) throws -> Int {
            let client = try server.connect()
            defer { client.close() }
            try client.expect("HELLO", to: "hello")
            try client.shutdownSending()
            try #expect(client.receive() == nil)
            return Int(try client.localAddress().port!)
        }

        /// Those of the clients in the records.
        private func ports(_ path: String) -> [Int] {
            records(path).compactMap { line in
                line.split(separator: "\"peer\":\"127.0.0.1:").last.flatMap { Int($0.prefix { $0 != "\"" }) }
            }
        }

        @Test func `at a second signal, the records of connections that have ended are there`() throws {
            try withTemporaryPath("records") { path in
                try withServer(.green, ["--record", path, "--lame-duck", "60"]) { server in
                    server.program.send(SIGTERM)
                    try server.program.waitOnHub(forLineContaining: "still accepting, but not ready")
                    let ports = try (0..<20).map { _ in try portOfEndedClient(server) }
                    server.program.send(SIGTERM)
                    try #expect(server.program.waitForExitOnHub() == .status(143))
                    #expect(self.ports(path) == ports)
                }
            }
        }

        @Test func `at a reload, the renamed file has all records of before and the new file all others`() throws {
            try withTemporaryPath("records") { path in
                try withServer(.green, ["--record", path]) { server in
                    let before = try (0..<10).map { _ in try portOfEndedClient(server) }
                    rename(path, path + ".1")
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "settings reloaded")
                    defer { unlink(path + ".1") }
                    let after = try (0..<10).map { _ in try portOfEndedClient(server) }
                    server.program.send(SIGTERM)
                    try #expect(server.program.waitForExitOnHub() == .status(0))
                    #expect(ports(path + ".1") == before && ports(path) == after)
                }
            }
        }

        @Test(arguments: ServerModel.supervised)
        func `a connection that was open at a reload has its record in the new file`(model: ServerModel) throws {
            try withTemporaryPath("records") { path in
                try withServer(model, ["--record", path]) { server in
                    // After these, each process has the file open.
                    let before = try (0..<20).map { _ in try portOfEndedClient(server) }
                    let areThere = try eventuallyOnHub { ports(path).count == before.count }
                    try #require(areThere)
                    let client = try server.connect()
                    defer { client.close() }
                    try client.expect("HELLO", to: "hello")
                    rename(path, path + ".1")
                    defer { unlink(path + ".1") }
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "settings reloaded")
                    try client.shutdownSending()
                    try #expect(client.receive() == nil)
                    let port = Int(try client.localAddress().port!)
                    // The process that serves it has begun no other connection since.
                    let isThere = try eventuallyOnHub { ports(path).contains(port) }
                    #expect(isThere)
                    server.program.send(SIGTERM)
                    try #expect(server.program.waitForExitOnHub() == .status(0))
                }
            }
        }

        @Test func `at a hand-over, the records of both instances are there`() throws {
            try withTemporaryDirectory { directory in
                let (path, place) = ("\(directory)/records", "\(directory)/take-over")
                let arguments = ["--record", path, "--take-over", place]
                try withServer(.green, arguments) { first in
                    try #require(eventuallyOnHub { access(place, F_OK) == 0 })
                    var ports = try (0..<10).map { _ in try portOfEndedClient(first) }
                    let second = try Program(Server.launch(.green, arguments + ["--port", "\(try first.port)"]))
                    defer { second.end() }
                    try #expect(first.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    ports += try (0..<10).map { _ in try portOfEndedClient(first) }
                    second.send(SIGTERM)
                    try #expect(second.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    #expect(self.ports(path) == ports)
                }
            }
        }

        /// The limit is 1 KiB at the most, which a few records fill.
        @Test(arguments: ServerModel.all)
        func `at a limit of file sizes records are lost, and no client`(model: ServerModel) throws {
            try withTemporaryPath("records") { path in
                let arguments = ["--record", path, "--admin", "127.0.0.1:0"]
                try withServer(model, arguments, adjust: { $0.setup = "ulimit -f 1" }) { server in
                    for _ in 0..<12 { try #expect(server.answer(to: "still here") == "STILL HERE") }
                    let count = "echo_server_records_total{result=\"dropped\"}"
                    try #expect(eventuallyOnHub { try Admin(of: server).metrics()[count] ?? 0 >= 4 })
                    #expect(!records(path).isEmpty)
                    #expect(!server.log.contains { $0.contains("signal") })
                    try endIfSupervised(server, model)
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `a record has the client behind a proxy and the version of TLS`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let (path, files) = ("\(directory)/records", TLSTests.Files(directory: directory))
                try files.write(Certificates.all.server)
                let options = files.serverOptions + ["--record", path, "--proxy-protocol", "required"]
                try withServer(model, options) { server in
                    let connection = try server.connect()
                    let ends = ProxyHeader.Ends(
                        source: try #require(SocketAddress(ip: "192.0.2.1", port: 8)), destination: .loopback(port: 2))
                    try connection.sendAll(ProxyHeader(.v2, ends).bytes)
                    let context = try TLSContext.client(roots: .pem(Certificates.all.authority.certificate))
                    let tls = try TLSConnection(connection, context, serverName: "localhost")
                    try tls.handshake(until: .after(.patient(10)))
                    try tls.sendAll("hello")
                    try #expect(tls.receive() == Array("HELLO".utf8))
                    tls.close()
                    try #expect(eventuallyOnHub { records(path).count == 1 })
                    #expect(records(path)[0].contains(#""proxied_peer":"192.0.2.1:8""#))
                    #expect(records(path)[0].contains(#""bytes_in":5,"bytes_out":5"#))
                    #expect(records(path)[0].contains(#""tls":"TLSv1.3""#))
                    try endIfSupervised(server, model)
                }
            }
        }

        @Test func `a process of one connection that is killed has a record by its parent`() throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/records"
                try withServer(.process, ["--record", path]) { server in
                    let client = try server.connect()
                    defer { client.close() }
                    try client.expect("HELLO", to: "hello")
                    let child = try #require(server.program.status().children.first)
                    kill(child, SIGKILL)
                    try #expect(eventuallyOnHub { records(path).count == 1 })
                    #expect(records(path)[0].contains(#""pid":\#(child),"bytes_in":null"#))
                    #expect(records(path)[0].contains(#""end":"crashed""#))
                }
            }
        }

        // MARK: - Banners

        @Test(arguments: ServerModel.all)
        func `a banner comes before the client sends anything, and behind the header of its proxy`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--banner={model} {proxied_peer}", "--proxy-protocol", "optional"]) { server in
                let client = try server.connect()
                defer { client.close() }
                let ends = ProxyHeader.Ends(
                    source: try #require(SocketAddress(ip: "192.0.2.1", port: 8)), destination: .loopback(port: 2))
                try client.sendAll(ProxyHeader(.v1, ends).bytes)
                let banner = "\(model.kind.rawValue) 192.0.2.1:8\n"
                try #expect(client.receive(exactly: banner.utf8.count) == Array(banner.utf8))
                try client.expect("HELLO", to: "hello")
            }
        }

        @Test func `a banner without a template has all there is`() throws {
            try withServer(.green, ["--banner"]) { server in
                let client = try server.connect()
                defer { client.close() }
                let line = try #require(try LineReader(client).next())
                #expect(line.hasPrefix("echo-server/") && line.split(separator: " ").count == 6)
            }
        }

        // MARK: - Transforms

        @Test(arguments: ServerModel.all)
        func `each transform answers as it is called`(model: ServerModel) throws {
            for (transform, answer) in [
                ("lower", "hello, wörld\nsecond"), ("rot13", "Uryyb, Jöeyq\nFrpbaq"),
                ("reverse", "dlröW ,olleH\ndnoceS"), ("discard", ""),
            ] {
                try withServer(model, ["--transform", transform]) { server in
                    try #expect(server.answer(to: "Hello, Wörld\nSecond") == answer, "\(transform)")
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `whoami answers each line with the client, the model and the process`(model: ServerModel) throws {
            try withServer(model, ["--transform", "whoami"]) { server in
                let client = try server.connect()
                defer { client.close() }
                let (own, reader) = (try client.localAddress(), LineReader(client))
                for _ in 0..<3 {
                    try client.sendAll(Array("who\n".utf8))
                    let words = try #require(try reader.next()).split(separator: " ")
                    #expect(words.count == 3 && words[0] == "\(own)" && words[1] == model.kind.rawValue)
                    let pid = try #require(pid_t(words[2]))
                    try #expect(server.program.processes().contains(pid))
                }
            }
        }

        @Test func `a line without an end is answered in pieces`() throws {
            try withServer(.green, ["--transform", "reverse"]) { server in
                let piece = 65_536
                let bytes = [UInt8](repeating: 0x61, count: piece) + [UInt8](repeating: 0x62, count: 7) + [0x63]
                let answer = try server.answer(to: bytes)
                #expect(answer == Array(bytes.prefix(piece)) + [0x63] + [UInt8](repeating: 0x62, count: 7))
            }
        }
    }
}
