import Glibc
import GreenNet
import GreenTLS
import TestSupport
import Testing

@Suite struct ContextTests {
    @Test func `a file that can't be read is named, with the system's reason`() throws {
        let key = certificates.server.keySource
        let missing = TLSContextError.unreadable(.certificate, "/nowhere/server.pem", SystemError(ENOENT))
        #expect(throws: missing) { try TLSContext.server(certificate: .file("/nowhere/server.pem"), key: key) }
        #expect("\(missing)" == "cannot read the certificate /nowhere/server.pem: no such file or directory (ENOENT)")
        #expect(throws: TLSContextError.unreadable(.key, "/", SystemError(EISDIR))) {
            try TLSContext.server(certificate: certificates.server.certificateSource, key: .file("/"))
        }
        #expect(throws: TLSContextError.unreadable(.roots, "/dev/null", SystemError(EINVAL))) {
            try TLSContext.client(roots: .file("/dev/null"))
        }
        #expect(throws: TLSContextError.unreadable(.clientAuthorities, "/x", SystemError(ENOENT))) {
            try TLSContext.server(
                certificate: certificates.server.certificateSource, key: key, clientAuthorities: .file("/x"))
        }
    }

    @Test func `a FIFO is not waited for`() throws {
        try withTemporaryPath("fifo") { path in
            try #require(mkfifo(path, 0o600) == 0)
            #expect(throws: TLSContextError.unreadable(.roots, path, SystemError(EINVAL))) {
                try TLSContext.client(roots: .file(path))
            }
        }
    }

    @Test func `files are read as texts are, up to 4 MiB`() throws {
        try withTemporaryPath("roots") { path in
            let padding = (4 << 20) - certificates.authority.certificate.utf8.count
            try write(certificates.authority.certificate + String(repeating: "\n", count: padding), to: path)
            _ = try TLSContext.client(roots: .file(path))
            try write(certificates.authority.certificate + String(repeating: "\n", count: padding + 1), to: path)
            #expect(throws: TLSContextError.unreadable(.roots, path, SystemError(EFBIG))) {
                try TLSContext.client(roots: .file(path))
            }
        }
    }

    @Test func `a key of another certificate is refused`() throws {
        #expect(throws: TLSContextError.keyDoesNotFit(key: "the PEM text", certificate: "the PEM text")) {
            try TLSContext.server(
                certificate: certificates.server.certificateSource, key: certificates.secondServer.keySource)
        }
    }

    @Test func `an encrypted key is refused as such, and asks no terminal`() throws {
        #expect(throws: TLSContextError.encryptedKey("the PEM text")) {
            try TLSContext.server(
                certificate: certificates.server.certificateSource, key: .pem(certificates.encryptedKey))
        }
    }

    @Test func `texts without a certificate, or without a key, and damaged ones are refused with OpenSSL's reason`()
        throws
    {
        let (certificate, key) = (certificates.server.certificate, certificates.server.key)
        func reason(_ certificate: String, _ key: String) -> String? {
            failure { () throws(TLSContextError) in
                try TLSContext.server(certificate: .pem(certificate), key: .pem(key))
            }.map { "\($0)" }
        }
        #expect(reason("", key) == "cannot use the certificate in the PEM text: it is empty")
        #expect(reason(key, key) == "cannot use the certificate in the PEM text: no certificate in PEM is in it")
        #expect(
            reason(certificate, certificate) == "cannot use the key in the PEM text: no private key in PEM is in it")
        let damaged = certificate.replacing("\nMII", with: "\nMIJ")
        #expect(damaged != certificate)
        #expect(reason(damaged, key)?.hasPrefix("cannot use the certificate in the PEM text: ") == true)
        #expect(reason(certificate + damaged, key)?.hasPrefix("cannot use the certificate in the PEM text: ") == true)
    }

    @Test func `a replaced certificate is that of new connections, and a bad one leaves the old in place`() throws {
        try onHub {
            let (client, server) = (try clientContext(), try serverContext())
            let old = try connectedPair(client: client, server: server)
            let first = try #require(old.client.facts.peerCertificate)
            #expect(server.certificate == first)
            #expect(throws: TLSContextError.self) {
                try server.replaceCertificate(
                    certificates.secondServer.certificateSource, key: certificates.server.keySource)
            }
            #expect(try connectedPair(server: server).client.facts.peerCertificate == first)
            try server.replaceCertificate(
                certificates.secondServer.certificateSource, key: certificates.secondServer.keySource)
            let second = try connectedPair(server: server).client.facts.peerCertificate
            #expect(second?.subject == "O=Tests,CN=second")
            // The connection of before goes on, and its session is taken up again.
            try old.server.sendAll("x")
            #expect(try old.client.receive() == [UInt8(ascii: "x")])
        }
    }

    @Test func `tickets of before a replacement are taken, unless the clients' authorities are others`() throws {
        try onHub {
            let listener = try Listener(on: .loopback(port: 0))
            let client = try clientContext(certificates.client)
            let authorities = PEMSource.pem(certificates.authority.certificate)
            let both = PEMSource.pem(certificates.authority.certificate + certificates.otherAuthority.certificate)
            let server = try serverContext(clientAuthorities: authorities)
            func isResumed() throws -> Bool {
                let below = try Connection.connect(to: listener.address)
                let other = try TLSConnection(listener.accept(), server)
                let serving = spawn {
                    try other.handshake()
                    try other.sendAll("x")
                }
                let tls = try TLSConnection(below, client, serverName: "localhost")
                try tls.handshake()
                _ = try tls.receive()
                try serving.value()
                return tls.facts.isResumed
            }
            let (source, key) = (certificates.server.certificateSource, certificates.server.keySource)
            #expect(try !isResumed())
            #expect(try isResumed())
            try server.replaceCertificate(source, key: key, clientAuthorities: authorities)
            #expect(try isResumed())
            try server.replaceCertificate(source, key: key, clientAuthorities: both)
            #expect(try !isResumed())
        }
    }

    @Test func `the system's roots are had where the system has some`() throws {
        _ = try TLSContext.client()
    }
}
