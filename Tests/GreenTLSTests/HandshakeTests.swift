import GreenNet
import TestSupport
import Testing

@testable import GreenTLS

@Suite struct HandshakeTests {
    @Test func `both sides agree on TLS 1·3, and the client knows the server's certificate`() throws {
        try onHub {
            let pair = try connectedPair()
            #expect(pair.client.facts.version == "TLSv1.3")
            #expect(pair.client.facts.cipher == pair.server.facts.cipher)
            #expect(pair.client.facts.cipher.hasPrefix("TLS_"))
            let certificate = try #require(pair.client.facts.peerCertificate)
            #expect(certificate.subject == "O=Tests,CN=server")
            #expect(certificate.issuer == "CN=authority")
            #expect(certificate.names == ["localhost", "*.example.org", "127.0.0.1", "::1"])
            #expect(certificate.fingerprint.count == 32)
            #expect(certificate.validity.upperBound - certificate.validity.lowerBound == 10 * 86_400)
            #expect(pair.server.facts.peerCertificate == nil)
            #expect(!pair.client.facts.isResumed)
        }
    }

    @Test(arguments: ["localhost", "localhost.", "a.example.org", "LOCALHOST", "127.0.0.1", "::1"])
    func `the server's certificate is accepted for each of its names and addresses`(name: String) throws {
        try onHub {
            let pair = try connectedPair(serverName: name)
            #expect(pair.client.facts.version == "TLSv1.3")
        }
    }

    @Test(arguments: ["elsewhere", "a.b.example.org", "example.org", "127.0.0.2", "::2", "server"])
    func `it is refused for any other, and the error lists those that it has`(name: String) throws {
        try onHub {
            let errors = try handshakeErrors(client: clientContext(), server: serverContext(), serverName: name)
            guard case .wrongName(name, ["localhost", "*.example.org", "127.0.0.1", "::1"])? = errors.client?.reason
            else { throw ProgramFailure(text: "\(String(describing: errors.client))") }
            #expect(
                errors.client!.description.hasSuffix(
                    "(\(name)): the certificate is for localhost, *.example.org, 127.0.0.1, ::1, not for \(name)"))
            #expect(errors.server?.alertName == "bad_certificate" || errors.server?.alertName == "certificate_unknown")
        }
    }

    @Test func `the common name of a certificate counts for nothing`() throws {
        try onHub {
            let errors = try handshakeErrors(client: clientContext(), server: serverContext(certificates.nameless))
            #expect(errors.client?.kind == "wrongName")
            #expect(errors.client?.reasonInWords == "the certificate names no host, so not localhost")
        }
    }

    @Test
    func `expired, self-signed and unknown certificates are refused, each with its reason, and the server is told`()
        throws
    {
        try onHub {
            let cases = [
                (certificates.expired, "expired", "certificate_expired"),
                (certificates.selfSigned, "selfSigned", "unknown_ca"),
                (certificates.strangeClient, "unknownAuthority", "unknown_ca"),
            ]
            for (identity, reason, alert) in cases {
                let errors = try handshakeErrors(client: clientContext(), server: serverContext(identity))
                #expect(errors.client?.kind == reason)
                #expect(errors.server?.alertName == alert)
                #expect(errors.client?.call == .handshake && errors.client?.peer != nil)
            }
        }
    }

    @Test func `a client that checks nothing accepts them, with a name or without one`() throws {
        try onHub {
            for identity in [certificates.expired, certificates.selfSigned, certificates.strangeClient] {
                for name in ["elsewhere", nil] {
                    let pair = try connectedPair(
                        client: clientContext(checksServer: false), server: serverContext(identity), serverName: name)
                    #expect(pair.client.facts.peerCertificate != nil)
                }
            }
        }
    }

    @Test func `a server sends the certificates that its own rests on`() throws {
        try onHub {
            let pair = try connectedPair(server: serverContext(certificates.chained))
            #expect(pair.client.facts.peerCertificate?.issuer == "O=Tests,CN=middle")
            let leaf = certificates.chained.certificate.split(separator: "-----BEGIN")[0]
            let alone = Identity(certificate: "-----BEGIN\(leaf)", key: certificates.chained.key)
            let errors = try handshakeErrors(client: clientContext(), server: serverContext(alone))
            #expect(errors.client?.kind == "unknownAuthority")
        }
    }

    @Test
    func `a server that asks for clients' certificates gets them, and refuses a client without one, and a stranger`()
        throws
    {
        try onHub {
            let server = try serverContext(clientAuthorities: .pem(certificates.authority.certificate))
            let pair = try connectedPair(client: clientContext(certificates.client), server: server)
            #expect(pair.server.facts.peerCertificate?.subject == "O=Tests,CN=client")
            let without = try handshakeErrors(client: clientContext(), server: server)
            #expect(without.server?.kind == "noCertificate")
            #expect(without.client?.alertName == "certificate_required")
            let stranger = try handshakeErrors(client: clientContext(certificates.strangeClient), server: server)
            #expect(stranger.server?.kind == "unknownAuthority")
            #expect(stranger.client?.alertName == "unknown_ca")
        }
    }

    @Test func `the server's order of application protocols counts`() throws {
        try onHub {
            let server = try serverContext(protocols: ["h2", "http/1.1"])
            let both = try connectedPair(client: clientContext(protocols: ["http/1.1", "h2"]), server: server)
            #expect(both.client.facts.applicationProtocol == "h2")
            #expect(both.server.facts.applicationProtocol == "h2")
            let none = try connectedPair(server: server)
            #expect(none.client.facts.applicationProtocol == nil)
            let other = try handshakeErrors(client: clientContext(protocols: ["echo"]), server: server)
            #expect(other.server?.kind == "noCommonProtocol")
            #expect(other.client?.alertName == "no_application_protocol")
        }
    }

    @Test(arguments: [1, 255]) func `an application protocol's name may be that long`(length: Int) throws {
        _ = try clientContext(protocols: [String(repeating: "x", count: length)])
        _ = try serverContext(protocols: [String(repeating: "x", count: length)])
    }

    @Test(arguments: [0, 256]) func `an application protocol's name of another length is refused`(length: Int) throws {
        let name = String(repeating: "x", count: length)
        #expect(throws: TLSContextError.badProtocol(name)) { try clientContext(protocols: [name]) }
        #expect(throws: TLSContextError.badProtocol(name)) { try serverContext(protocols: ["h2", name]) }
    }

    @Test(arguments: ["", ".", "two words", "nul\u{0}", "ümlaut", String(repeating: "x", count: 254)])
    func `a name that can't be a host's is refused before anything is sent`(name: String) throws {
        try onHub {
            let (client, server) = try connectedConnections()
            let context = try clientContext()
            let error = failure { () throws(TLSError) in try TLSConnection(client, context, serverName: name) }
            #expect(error?.kind == "badName")
            client.close()
            #expect(try server.receive() == nil)
        }
    }

    // MARK: - The other side goes, or is no TLS

    @Test func `what is no TLS ends the handshake`() throws {
        try onHub {
            for text in ["GET / HTTP/1.0\r\n\r\n", "hello hello hello\n"] {
                let (client, server) = try connectedConnections()
                try client.sendAll(text)
                let tls = try TLSConnection(server, serverContext())
                let error = failure { () throws(TLSError) in try tls.handshake(until: .after(.seconds(20))) }
                #expect(error?.kind == "notTLS")
            }
        }
    }

    @Test func `the end of the stream in the middle of the handshake is an error`() throws {
        try onHub {
            let (client, server) = try connectedConnections()
            client.close()
            let tls = try TLSConnection(server, serverContext())
            let error = failure { () throws(TLSError) in try tls.handshake(until: .after(.seconds(20))) }
            #expect(error?.kind == "truncated")
            #expect(error?.isPeerGone == true)
            #expect(
                error?.reasonInWords == "the other side has ended the connection during the handshake")
        }
    }

    @Test func `a handshake ends at its deadline, not before`() throws {
        try onHub {
            let (client, server) = try connectedConnections()
            let tls = try TLSConnection(server, serverContext())
            let deadline = Deadline.after(.milliseconds(30))
            let error = failure { () throws(TLSError) in try tls.handshake(until: deadline) }
            #expect(error?.waitError == .deadlinePassed && error?.isTimeout == true)
            #expect(deadline.hasPassed)
            client.close()
        }
    }

    @Test func `a time limit around a handshake ends it, and is recognised`() throws {
        try onHub {
            let (client, server) = try connectedConnections()
            let tls = try TLSConnection(server, serverContext())
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(20)) { try tls.handshake() } }
            client.close()
        }
    }

    @Test func `a green thread that is killed in a handshake ends as killed, and leaves nothing`() throws {
        try onHub {
            let (client, server) = try connectedConnections()
            let greenlet = spawn {
                let tls = try TLSConnection(server, serverContext())
                try tls.handshake()
            }
            try waitUntil { greenlet.state == .waiting }
            greenlet.kill()
            try greenlet.join()
            #expect(greenlet.state == .killed)
            client.close()
        }
    }

    // MARK: - Sessions

    @Test func `a client takes its session up again, once for each that it was offered`() throws {
        try onHub {
            let (client, server) = (try clientContext(), try serverContext())
            let listener = try Listener(on: .loopback(port: 0))
            var resumed: [Bool] = []
            for _ in 0..<3 {
                let below = try Connection.connect(to: listener.address)
                let first = try TLSConnection(below, client, serverName: "localhost")
                let other = try TLSConnection(listener.accept(), server)
                let serving = spawn {
                    try other.handshake()
                    try other.sendAll("hello")
                    try other.shutdownSending()
                }
                try first.handshake()
                resumed.append(first.facts.isResumed)
                // The session comes with the first bytes.
                #expect(try first.receiveAll() == Array("hello".utf8))
                #expect(first.facts.peerCertificate?.subject == "O=Tests,CN=server")
                try serving.value()
                #expect(other.facts.isResumed == first.facts.isResumed)
            }
            #expect(resumed == [false, true, true])
        }
    }

    @Test func `a session is not taken up for another name`() throws {
        try onHub {
            let (client, server) = (try clientContext(), try serverContext())
            for name in ["localhost", "a.example.org"] {
                let pair = try connectedPair(client: client, server: server, serverName: name)
                #expect(!pair.client.facts.isResumed)
                try pair.server.sendAll("x")
                #expect(try pair.client.receive() == [UInt8(ascii: "x")])
            }
        }
    }
}
