import GreenNet
import GreenTLS
import TestSupport
import Testing

extension EndToEnd {
    /// `--listen`: several places, which serve differently.
    @Suite(.serialized) struct ListenTests {
        /// Starts a server that listens at several places, whose addresses are those of its log in the order of the places.
        private func withPlaces(
            _ model: ServerModel, _ places: [String], _ arguments: [String] = [],
            _ body: @escaping @Sendable (Server, [SocketAddress]) throws -> Void
        ) throws {
            try withServer(model, places.flatMap { ["--listen", $0] } + arguments) { server in
                let lines = server.program.standardError.lines.filter { $0.contains("listening on") }
                try body(server, lines.map { try Server.address(in: $0) })
            }
        }

        private func answer(_ address: SocketAddress, to text: String) throws -> String {
            let connection = try Connection.connect(to: address)
            defer { connection.close() }
            try connection.sendAll(text)
            try connection.shutdownSending()
            return String(decoding: try connection.receiveToEnd(), as: UTF8.self)
        }

        private static let models = ServerModel.testable(.green, .thread, .process)

        @Test(arguments: models)
        func `each place has its settings`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let places = [
                    "tcp:127.0.0.1:0?transform=echo", "tcp:127.0.0.1:0,unix:\(directory)/s?service=daytime",
                    "tcp:[::1]:0?service=discard",
                ]
                try withPlaces(model, places) { server, addresses in
                    try #require(addresses.count == 4)
                    try #expect(answer(addresses[0], to: "abc") == "abc")
                    try #expect(answer(addresses[1], to: "abc") == "ABC")
                    try #expect(answer(addresses[2], to: "").hasSuffix("-UTC\r\n"))
                    try #expect(answer(addresses[3], to: "abc") == "")
                }
            }
        }

        @Test(arguments: models)
        func `one place speaks TLS, and the other does not`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let files = TLSTests.Files(directory: directory)
                try files.write(Certificates.all.server)
                try withPlaces(model, ["tcp:127.0.0.1:0,tls:127.0.0.1:0"], files.serverOptions) { server, addresses in
                    try #expect(answer(addresses[0], to: "abc") == "ABC")
                    let authority = Certificates.all.authority.certificate
                    let connection = try Connection.connect(to: addresses[1])
                    let tls = try TLSConnection(
                        connection, .client(roots: .pem(authority)), serverName: "localhost")
                    defer { tls.close() }
                    try tls.handshake(until: .after(.patient(10)))
                    try tls.sendAll("abc")
                    try tls.shutdownSending()
                    try #expect(tls.receiveToEnd() == Array("ABC".utf8))
                }
            }
        }

        @Test func `a place of datagrams has its own port and service`() throws {
            let port = try onHub { () -> UInt16 in
                let free = try Datagram(bind: .loopback(port: 0))
                defer { free.close() }
                return free.address.port!
            }
            try withPlaces(.green, ["tcp:127.0.0.1:0", "udp:127.0.0.1:\(port)?transform=echo"]) { server, addresses in
                #expect(addresses.count == 1)
                let socket = try Datagram(bind: .loopback(port: 0))
                defer { socket.close() }
                try socket.send("abc", to: .loopback(port: port))
                try #expect(socket.receive(upTo: 10, until: .after(.patient(10))).bytes == Array("abc".utf8))
                try #expect(answer(addresses[0], to: "abc") == "ABC")
            }
        }
    }
}
