import Glibc
import GreenNet
import GreenTLS
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-server --tls-certificate` and `echo-client --tls`.
    @Suite(.serialized) struct TLSTests {
        /// Paths of PEM files.
        struct Files: Sendable {
            let directory: String
            var certificate: String { "\(directory)/server.pem" }
            var key: String { "\(directory)/server.key" }
            var authority: String { "\(directory)/authority.pem" }

            func write(_ identity: Identity) throws {
                try TestSupport.write(identity.certificate, to: certificate)
                try TestSupport.write(identity.key, to: key)
            }

            var serverOptions: [String] { ["--tls-certificate", certificate, "--tls-key", key] }
            var client: [String] { ["--tls", "--tls-ca", authority] }
        }

        private func withFiles(_ body: (Files) throws -> Void) throws {
            try withTemporaryDirectory { directory in
                let files = Files(directory: directory)
                try files.write(Certificates.all.server)
                try write(Certificates.all.authority.certificate, to: files.authority)
                try body(files)
            }
        }

        private func withTLSServer(
            _ model: ServerModel, _ arguments: [String] = [],
            _ body: @escaping @Sendable (Server, Files) throws -> Void
        ) throws {
            try withFiles { files in
                try withServer(model, files.serverOptions + arguments) { server in try body(server, files) }
            }
        }

        private static func context() throws -> TLSContext {
            try .client(roots: .pem(Certificates.all.authority.certificate))
        }

        // MARK: - The server

        @Test(arguments: ServerModel.all)
        func `a greeting comes back in capitals, and the end follows the client's`(model: ServerModel) throws {
            try withTLSServer(model) { server, _ in
                let tls = try server.secured(TLSTests.context())
                defer { tls.close() }
                try tls.sendAll("hello, wörld")
                try tls.shutdownSending()
                try #expect(tls.receiveToEnd() == Array("HELLO, WöRLD".utf8))
            }
        }

        @Test(arguments: ServerModel.all)
        func `many bytes come back exactly`(model: ServerModel) throws {
            try withTLSServer(model) { server, _ in
                let tls = try server.secured(TLSTests.context())
                defer { tls.close() }
                let (piece, pieces) = (1 << 16, 64)
                let bytes = (0..<pieces).flatMap { RandomStream.upper.bytes($0 * piece, piece) }
                let sender = spawn {
                    try tls.sendAll(bytes)
                    try tls.shutdownSending()
                }
                let answer = try tls.receiveToEnd()
                try #require(answer.count == bytes.count)
                try answer.withUnsafeBytes { try RandomStream.upper.check($0, at: 0) }
                try sender.value()
            }
        }

        @Test(arguments: ServerModel.all)
        func `clients that are no TLS, or say nothing, are ended and counted, and others are served`(
            model: ServerModel
        ) throws {
            try withTLSServer(model, ["--handshake-timeout", "0.3"]) { server, _ in
                let silent = try server.connect()
                let plain = try server.connect()
                try plain.sendAll("GET / HTTP/1.0\r\n\r\n")
                _ = try? plain.receiveToEnd()
                plain.close()
                let tls = try server.secured(TLSTests.context())
                try tls.sendAll("x")
                try #expect(tls.receive() == [UInt8(ascii: "X")])
                tls.close()
                try #expect(silent.receiveToEnd().isEmpty)
                silent.close()
                let line = try server.program.waitForLine(containing: "TLS handshake failed")
                #expect(line.contains("what came is no TLS"))
            }
        }

        @Test func `handshakes and the certificate's end are among the metrics`() throws {
            try withTLSServer(.green, ["--admin", "127.0.0.1:0"]) { server, _ in
                let plain = try server.connect()
                try plain.sendAll("GET / HTTP/1.0\r\n\r\n")
                _ = try? plain.receiveToEnd()
                plain.close()
                try server.secured(TLSTests.context()).close()
                try server.program.waitOnHub(forLineContaining: "TLS handshake failed")
                let metrics = try Admin(of: server).metrics()
                #expect(metrics["echo_server_tls_handshakes_total{result=\"done\"}"] == 1)
                #expect(metrics["echo_server_tls_handshakes_total{result=\"failed\"}"] == 1)
                let end = try #require(metrics["echo_server_tls_certificate_expiry_seconds"])
                #expect(end > Double(time(nil)) + 86_400)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client without the certificate that is asked for is refused`(model: ServerModel) throws {
            try withFiles { files in
                try withServer(model, files.serverOptions + ["--tls-client-ca", files.authority]) { server in
                    let without = try TLSConnection(server.connect(), TLSTests.context(), serverName: "localhost")
                    #expect(throws: TLSError.self) {
                        try without.handshake(until: .after(.patient(10)))
                        _ = try without.receive(until: .after(.patient(10)))
                    }
                    without.close()
                    let client = Certificates.all.client
                    let tls = try server.secured(
                        .client(
                            roots: .pem(Certificates.all.authority.certificate), certificate: .pem(client.certificate),
                            key: .pem(client.key)))
                    try tls.sendAll("x")
                    try #expect(tls.receive() == [UInt8(ascii: "X")])
                    tls.close()
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `TERM lets a client finish, and the client learns that it has got all`(model: ServerModel) throws {
            try withTLSServer(model, ["--drain-timeout", "1"]) { server, _ in
                let tls = try server.secured(TLSTests.context())
                defer { tls.close() }
                try tls.sendAll("first")
                try #expect(tls.receive() == Array("FIRST".utf8))
                server.program.send(SIGTERM)
                try #expect(tls.receiveToEnd().isEmpty)
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        // MARK: - Certificates

        @Test(arguments: ServerModel.all)
        func `HUP reads the certificate again; with a bad one, the old stays`(model: ServerModel) throws {
            try withTLSServer(model) { server, files in
                func subjects() throws -> Set<String> {
                    Set(
                        try (0..<6).map { _ in
                            let tls = try server.secured(TLSTests.context())
                            defer { tls.close() }
                            return tls.facts.peerCertificate!.subject
                        })
                }
                #expect(try subjects() == ["O=Tests,CN=server"])
                try write(Certificates.all.secondServer.key, to: files.key)
                server.program.send(SIGHUP)
                let line = try server.program.waitForLine(containing: "not reloaded")
                #expect(line.contains("does not fit the certificate"))
                #expect(try subjects() == ["O=Tests,CN=server"])
                try files.write(Certificates.all.secondServer)
                server.program.send(SIGHUP)
                _ = try server.program.waitForLine(containing: "settings reloaded changed=tls-certificate")
                #expect(try subjects() == ["O=Tests,CN=second"])
            }
        }

        @Test func `settings of TLS that can't work end the start with their reason`() throws {
            try withFiles { files in
                func run(_ arguments: [String]) throws -> (Program.Exit, String) {
                    let end = try Program.run(Program.built("echo-server", ["--port", "0"] + arguments))
                    return (end.exit, end.error)
                }
                let missing = try run(["--tls-certificate", "/nowhere", "--tls-key", files.key])
                #expect(
                    missing
                        == (
                            .status(78),
                            "echo-server: cannot read the certificate /nowhere: no such file or directory (ENOENT)\n"
                        ))
                let alone = try run(["--tls-certificate", files.certificate])
                #expect(
                    alone.0 == .status(64)
                        && alone.1.contains("--tls-certificate: '\(files.certificate)' needs tls-key too"))
                let other = try run(["--tls-client-ca", files.authority])
                #expect(other.0 == .status(64) && other.1.contains("needs tls-certificate too"))
                try write(Certificates.all.client.key, to: files.key)
                let strange = try run(files.serverOptions + ["--check-config"])
                #expect(
                    strange
                        == (
                            .status(78),
                            "echo-server: the key in \(files.key) does not fit the certificate in \(files.certificate)\n"
                        ))
                try write(Certificates.all.encryptedKey, to: files.key)
                let encrypted = try run(files.serverOptions)
                #expect(encrypted.0 == .status(78) && encrypted.1.contains("it is encrypted"))
                let long = try run(["--tls-certificate", String(repeating: "x", count: 4096), "--tls-key", files.key])
                #expect(long.0 == .status(64) && long.1.contains("is not the path of a file, 1 to 4095 bytes"))
            }
        }

        @Test func `without TLS, OpenSSL is not loaded`() throws {
            try withServer { server in
                let maps = try #require(ProcessStatus.contents(of: "/proc/\(server.program.pid)/maps"))
                #expect(!maps.contains("libssl") && !maps.contains("libcrypto"))
            }
        }

        // MARK: - The client

        private func client(
            _ server: Server, _ arguments: [String], input: String? = nil
        ) throws -> (
            exit: Program.Exit, output: String, error: String
        ) {
            var launch = try Program.built("echo-client", arguments)
            if let input {
                launch = Program.Launch("/bin/sh", ["-c", #"printf '%s' "$0" | "$@""#, input, launch.path] + arguments)
            }
            return try Program.run(launch)
        }

        @Test func `the client filters, pings and loads over TLS`() throws {
            try withTLSServer(.green) { server, files in
                let place = ["127.0.0.1", "\(try server.port)"] + files.client
                try #expect(client(server, place, input: "hello") == (.status(0), "HELLO", ""))
                let ping = try client(server, ["ping"] + place)
                #expect(ping.exit == .status(0) && ping.output.contains("answered in"))
                for mode in ["steady", "churn", "hold", "bulk"] {
                    let load = try client(
                        server, ["load"] + place + ["--mode", mode, "--duration", "0.2", "--connections", "4"])
                    #expect(load.exit == .status(0), "\(mode): \(load.error) \(load.output)")
                }
            }
        }

        @Test func `the client refuses another name and an unknown authority, each with its reason`() throws {
            try withTLSServer(.green) { server, files in
                let place = ["127.0.0.1", "\(try server.port)"]
                let name = try client(server, ["ping"] + place + files.client + ["--tls-name", "elsewhere"])
                #expect(name.exit == .status(1))
                #expect(
                    name.error.contains(
                        "the certificate is for localhost, *.example.org, 127.0.0.1, ::1, not for elsewhere"))
                let unknown = try client(server, ["ping"] + place + ["--tls"])
                #expect(
                    unknown.exit == .status(1) && unknown.error.contains("an authority that is not among the roots"))
                let insecure = try client(
                    server, ["ping"] + place + ["--tls", "--tls-insecure", "--tls-name", "elsewhere"])
                #expect(insecure.exit == .status(0))
                #expect(
                    insecure.error == "echo-client: warning: --tls-insecure: the service's certificate is not checked\n"
                )
                let missing = try client(server, ["ping"] + place + ["--tls", "--tls-ca", "/nowhere"])
                #expect(missing.exit == .status(1))
                #expect(
                    missing.error == "echo-client: cannot read the roots /nowhere: no such file or directory (ENOENT)\n"
                )
            }
        }

        @Test(arguments: [
            ["--tls-ca", "x"], ["--tls-name", "x"], ["--tls-insecure"], ["--tls", "--tls-insecure", "--tls-ca", "x"],
            ["--tls", "--tls-name", ""], ["--tls", "--unix-socket", "/x"],
        ])
        func `options of TLS that make no sense are refused`(arguments: [String]) throws {
            let end = try Program.run(Program.built("echo-client", ["ping"] + arguments))
            #expect(end.exit == .status(64) && end.error.contains("--tls"))
        }

        @Test func `a service that is no TLS is named as such, and one that says nothing ends in time`() throws {
            try onHub {
                let listener = try Listener(on: .loopback(port: 0))
                let place = ["127.0.0.1", "\(listener.address.port!)"]
                let silent = spawn { try listener.accept() }
                let program = try Program(Program.built("echo-client", ["ping", "--timeout", "0.3", "--tls"] + place))
                defer { program.end() }
                try #expect(program.waitForExitOnHub() == .status(1))
                #expect(program.standardError.textToEnd().contains("no TLS handshake within 0.3 seconds"))
                try silent.value().close()
                let plain = spawn {
                    let connection = try listener.accept()
                    try connection.sendAll("220 mail.example.org\r\n")
                    _ = try? connection.receiveToEnd()
                    connection.close()
                }
                let other = try Program(Program.built("echo-client", ["ping", "--tls"] + place))
                defer { other.end() }
                try #expect(other.waitForExitOnHub() == .status(1))
                #expect(other.standardError.textToEnd().contains("what came is no TLS"))
                try plain.value()
            }
        }
    }
}

extension Server {
    /// A connection with TLS, after the handshake.
    func secured(_ context: TLSContext) throws -> TLSConnection {
        let tls = try TLSConnection(connect(), context, serverName: "localhost")
        try tls.handshake(until: .after(.patient(10)))
        return tls
    }
}

extension TLSConnection {
    func receiveToEnd() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let more = try receive(until: .after(.patient(20))) { bytes += more }
        return bytes
    }
}
