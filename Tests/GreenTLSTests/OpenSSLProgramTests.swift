import Glibc
import GreenNet
import TestSupport
import Testing

@testable import GreenTLS

/// Against OpenSSL's own client and server.
@Suite struct OpenSSLProgramTests {
    // MARK: - s_client

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `s_client gets its bytes back, and the end`(version: String) throws {
        let end = try serve(serverContext()) { try sClient($0, [version], input: "hello\n") }
        #expect(end.output.contains("hello"))
        #expect(end.output.contains(version == "-tls1_2" ? "TLSv1.2" : "TLSv1.3"))
        #expect(end.exit == .status(0))
        #expect(end.errors.isEmpty)
    }

    @Test(arguments: ["-tls1", "-tls1_1"])
    func `older versions are refused, on both sides with the reason`(version: String) throws {
        let end = try serve(serverContext()) {
            try sClient($0, [version, "-cipher", "DEFAULT@SECLEVEL=0"], input: "hello\n")
        }
        #expect(end.errors.map(\.kind) == ["version"])
        #expect(end.error.contains("alert protocol version"))
    }

    @Test func `a server that wants TLS 1·3 refuses TLS 1·2`() throws {
        let end = try serve(serverContext(minimumVersion: .tls13)) { try sClient($0, ["-tls1_2"], input: "hello\n") }
        #expect(end.errors.map(\.kind) == ["version"])
        #expect(end.error.contains("alert protocol version"))
    }

    @Test func `s_client is refused without the certificate that is asked for, and served with it`() throws {
        let server = try serverContext(clientAuthorities: .pem(certificates.authority.certificate))
        let without = try serve(server) { try sClient($0, [], input: "hello\n") }
        #expect(without.errors.map(\.kind) == ["noCertificate"])
        #expect(without.error.contains("alert certificate required"))
        try withTemporaryPath("client.pem") { path in
            try write(certificates.client.certificate + certificates.client.key, to: path)
            let end = try serve(server) { try sClient($0, ["-cert", path, "-key", path], input: "hello\n") }
            #expect(end.errors.isEmpty)
            #expect(end.output.contains("hello"))
        }
    }

    @Test func `s_client takes its session up again`() throws {
        try withTemporaryPath("session") { path in
            let server = try serverContext()
            _ = try serve(server) { try sClient($0, ["-sess_out", path], input: "hello\n") }
            let end = try serve(server) { try sClient($0, ["-sess_in", path], input: "hello\n") }
            #expect(end.output.contains("Reused, TLSv1.3"))
        }
    }

    @Test func `a client that asks for a renegotiation is not given one`() throws {
        let end = try serve(serverContext()) { try sClient($0, ["-tls1_2"], input: "R\n", isQuiet: false) }
        #expect(end.error.contains("no renegotiation") || end.error.contains("NO_RENEGOTIATION"))
    }

    private struct End {
        var exit: Program.Exit
        var output: String
        var error: String
        /// Those of the server.
        var errors: [TLSError]
    }

    /// Echoes to one client, which `body` runs on another OS thread.
    private func serve(
        _ server: TLSContext, _ body: @escaping @Sendable (SocketAddress) throws -> Program.Launch
    ) throws -> End {
        try onHub {
            let listener = try Listener(on: .loopback(port: 0))
            let address = listener.address
            let client = TestThread { try Program.run(body(address)) }
            let tls = try TLSConnection(listener.accept(), server)
            let error = failure { () throws(TLSError) in
                try tls.handshake(until: .after(.seconds(20)))
                while let bytes = try tls.receive(until: .after(.seconds(20))) { try tls.sendAll(bytes) }
                try tls.shutdownSending(until: .never)
            }
            tls.close()
            let end = try client.value()
            return End(exit: end.exit, output: end.output, error: end.error, errors: error.map { [$0] } ?? [])
        }
    }

    private func sClient(
        _ address: SocketAddress, _ arguments: [String], input: String, isQuiet: Bool = true
    ) throws -> Program.Launch {
        // Without an end of its input, `-ign_eof` would be needed to see the answer.
        var launch = Program.Launch(
            "/bin/sh",
            [
                "-c",
                #"(printf '\#(input.replacing("\n", with: "\\n"))'; sleep 1) | exec openssl s_client -connect \#(address) -servername localhost \#(arguments.joined(separator: " "))"#,
            ])
        launch.environment["OPENSSL_CONF"] = "/dev/null"
        return launch
    }

    // MARK: - s_server

    @Test func `a client talks to s_server, in both versions`() throws {
        for version in ["-tls1_2", "-tls1_3"] {
            try withServer(certificates.server, [version, "-rev"]) { address in
                let tls = try TLSConnection(Connection.connect(to: address), clientContext(), serverName: "localhost")
                try tls.handshake(until: .after(.seconds(20)))
                #expect(tls.facts.version == (version == "-tls1_2" ? "TLSv1.2" : "TLSv1.3"))
                try tls.sendAll("hello\n")
                #expect(try tls.receive(until: .after(.seconds(20))) == Array("olleh\n".utf8))
                tls.close()
            }
        }
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `a session of s_server's is taken up again, as often as one connects`(version: String) throws {
        try withServer(certificates.server, [version, "-rev"]) { address in
            let context = try clientContext()
            for round in 0..<3 {
                let tls = try TLSConnection(Connection.connect(to: address), context, serverName: "localhost")
                try tls.handshake(until: .after(.seconds(20)))
                #expect(tls.facts.isResumed == (round > 0))
                try tls.sendAll("hello\n")
                #expect(try tls.receive(until: .after(.seconds(20))) == Array("olleh\n".utf8))
                tls.close()
            }
        }
    }

    @Test(arguments: ["-tls1", "-tls1_1"])
    func `a server that has only an older version is refused`(version: String) throws {
        try withServer(certificates.server, [version, "-cipher", "DEFAULT@SECLEVEL=0", "-rev"]) { address in
            let tls = try TLSConnection(Connection.connect(to: address), clientContext(), serverName: "localhost")
            let error = failure { () throws(TLSError) in try tls.handshake(until: .after(.seconds(20))) }
            #expect(error?.kind == "version" || error?.alertName == "protocol_version")
            tls.close()
        }
    }

    @Test func `s_server's certificate is refused for each reason`() throws {
        for (identity, reason) in [
            (certificates.expired, "expired"), (certificates.selfSigned, "selfSigned"),
            (certificates.strangeClient, "unknownAuthority"), (certificates.nameless, "wrongName"),
        ] {
            try withServer(identity, ["-rev"]) { address in
                let tls = try TLSConnection(Connection.connect(to: address), clientContext(), serverName: "localhost")
                let error = failure { () throws(TLSError) in try tls.handshake(until: .after(.seconds(20))) }
                #expect(error?.kind == reason)
                tls.close()
            }
        }
    }

    @Test func `bulk from s_server comes whole`() throws {
        try withTemporaryDirectory { directory in
            let text = String(decoding: pattern(3 << 20).map { 33 + $0 % 90 }, as: UTF8.self)
            try write(text, to: "\(directory)/file")
            try withServer(certificates.server, ["-WWW"], in: directory) { address in
                let tls = try TLSConnection(Connection.connect(to: address), clientContext(), serverName: "localhost")
                try tls.handshake(until: .after(.seconds(20)))
                try tls.sendAll("GET /file HTTP/1.0\r\n\r\n")
                let bytes = try tls.receiveAll()
                expectSame(Array(bytes.suffix(text.utf8.count)), Array(text.utf8))
                tls.close()
            }
        }
    }

    private func withServer(
        _ identity: Identity, _ arguments: [String], in directory: String = "/",
        _ body: @escaping @Sendable (SocketAddress) throws -> Void
    ) throws {
        try withTemporaryPath("server.pem") { path in
            try write(identity.certificate + identity.key, to: path)
            var launch = Program.Launch(
                "/bin/sh",
                [
                    "-c",
                    "cd \(directory) && exec openssl s_server -accept 127.0.0.1:0 -cert \(path) -key \(path) \(arguments.joined(separator: " "))",
                ])
            launch.environment["OPENSSL_CONF"] = "/dev/null"
            let program = try Program(launch)
            defer { program.end() }
            // As in `ACCEPT 127.0.0.1:45671`.
            let line = try #require(program.standardOutput.waitForLine(containing: "ACCEPT", within: .seconds(20)))
            let port = try #require(line.split(separator: ":").last.flatMap { UInt16($0) })
            try onHub { try body(.loopback(port: port)) }
        }
    }
}
