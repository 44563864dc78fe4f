import GreenNet
import ProgramKit

/// A certificate and its key, in PEM.
package struct Identity: Sendable {
    package let certificate: String
    package let key: String

    package init(certificate: String, key: String) { (self.certificate, self.key) = (certificate, key) }
}

/// The certificates of all tests, which `openssl` makes once.
package struct Certificates: Sendable {
    package let authority: Identity
    /// One that no side believes.
    package let otherAuthority: Identity
    /// For localhost, *.example.org, 127.0.0.1 and ::1.
    package let server: Identity
    /// For the same names, by the same authority, with another key.
    package let secondServer: Identity
    package let expired: Identity
    package let selfSigned: Identity
    /// By an authority that `authority` has signed; the certificate has both.
    package let chained: Identity
    package let client: Identity
    package let strangeClient: Identity
    /// Its subject's common name is a name, which counts for nothing.
    package let nameless: Identity
    package let encryptedKey: String

    package static let all = try! Certificates()

    private init() throws {
        self = try withTemporaryDirectory { try Certificates(Maker(directory: $0)) }
    }

    private init(_ maker: Maker) throws {
        authority = try maker.authority("authority")
        otherAuthority = try maker.authority("other")
        let names = "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1"
        server = try maker.identity("server", names, by: "authority")
        secondServer = try maker.identity("second", names, by: "authority")
        expired = try maker.identity("expired", names, by: "authority", days: -1)
        selfSigned = try maker.selfSigned("self", names)
        client = try maker.identity("client", "email:client@example.org", by: "authority")
        strangeClient = try maker.identity("stranger", "email:stranger@example.org", by: "other")
        nameless = try maker.identity("localhost", nil, by: "authority")
        chained = try maker.chained("chained", names)
        encryptedKey = try maker.encrypted("server")
    }
}

/// Runs `openssl` in a directory, in which each certificate is NAME.pem and each key NAME.key.
private struct Maker {
    let directory: String

    private func path(_ file: String) -> String { "\(directory)/\(file)" }

    private func run(_ arguments: [String]) throws {
        let end = try Program.run(Program.Launch("/usr/bin/openssl", arguments))
        if end.exit != .status(0) { throw ProgramFailure(text: "openssl \(arguments): \(end.exit), \(end.error)") }
    }

    private func text(_ file: String) throws -> String {
        String(decoding: try SmallFile.read(path(file), upTo: 1 << 16), as: UTF8.self)
    }

    private func made(_ name: String) throws -> Identity {
        Identity(certificate: try text("\(name).pem"), key: try text("\(name).key"))
    }

    private func makeKey(_ name: String) throws {
        try run(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path("\(name).key")])
    }

    func authority(_ name: String) throws -> Identity {
        try makeKey(name)
        try run([
            "req", "-x509", "-new", "-key", path("\(name).key"), "-subj", "/CN=\(name)", "-days", "10", "-out",
            path("\(name).pem"), "-addext", "basicConstraints=critical,CA:true",
        ])
        return try made(name)
    }

    func selfSigned(_ name: String, _ names: String) throws -> Identity {
        try makeKey(name)
        try run([
            "req", "-x509", "-new", "-key", path("\(name).key"), "-subj", "/CN=\(name)", "-days", "10", "-out",
            path("\(name).pem"), "-addext", "subjectAltName=\(names)", "-addext", "basicConstraints=CA:false",
        ])
        return try made(name)
    }

    func identity(
        _ name: String, _ names: String?, by authority: String, days: Int = 10, extensions: [String] = []
    ) throws -> Identity {
        try makeKey(name)
        let all = (names.map { ["subjectAltName=\($0)"] } ?? []) + extensions
        try run(
            ["req", "-new", "-key", path("\(name).key"), "-subj", "/CN=\(name)/O=Tests", "-out", path("\(name).csr")]
                + all.flatMap { ["-addext", $0] })
        try run([
            "x509", "-req", "-in", path("\(name).csr"), "-CA", path("\(authority).pem"), "-CAkey",
            path("\(authority).key"), "-set_serial", "\(UInt32.random(in: 1 ... .max))", "-copy_extensions", "copy",
            "-days", "\(days)", "-out", path("\(name).pem"),
        ])
        return try made(name)
    }

    func chained(_ name: String, _ names: String) throws -> Identity {
        let middle = try identity(
            "middle", nil, by: "authority", extensions: ["basicConstraints=critical,CA:true"])
        let leaf = try identity(name, names, by: "middle")
        return Identity(certificate: leaf.certificate + middle.certificate, key: leaf.key)
    }

    func encrypted(_ name: String) throws -> String {
        try run([
            "pkcs8", "-topk8", "-in", path("\(name).key"), "-passout", "pass:secret", "-out", path("\(name).encrypted"),
        ])
        return try text("\(name).encrypted")
    }
}
