internal import COpenSSL
import GreenNet
import Synchronization

/// What the TLS connections of one kind have in common: certificate and key, whom they believe, which versions and protocols they speak.
///
/// Making one reads files and costs milliseconds: make it once, and use it for all connections, on any OS thread, and in forked children.
///
///     let client = try TLSContext.client()
///     let server = try TLSContext.server(certificate: .file("server.pem"), key: .file("server.key"))
///
/// OpenSSL is loaded when the first is made.  Its settings for the system, /etc/ssl/openssl.cnf, count: they may exclude weak ciphers and short keys.
public final class TLSContext: Sendable {
    /// Which side of a connection it is for.
    public enum Role: Sendable {
        /// The side that connects.
        case client
        /// The side that accepts.
        case server
    }

    /// Which side of a connection it is for.
    public let role: Role
    /// Whether a client checks the server's certificate and name.  True for a server.
    public let checksServer: Bool
    /// Where a client's sessions are kept between its connections.
    let sessions = SessionCache()

    private let current: Mutex<SessionContext>
    private let make: @Sendable (PEMSource, PEMSource, PEMSource?) throws(TLSContextError) -> SessionContext

    private init(
        _ role: Role, checksServer: Bool, _ first: SessionContext,
        make: @escaping @Sendable (PEMSource, PEMSource, PEMSource?) throws(TLSContextError) -> SessionContext
    ) {
        (self.role, self.checksServer, self.make) = (role, checksServer, make)
        current = Mutex(first)
    }

    /// The one that a connection that begins now uses.
    var now: SessionContext { current.withLock { $0 } }

    /// This side's certificate; nil where it has none.
    public var certificate: TLSCertificate? { now.certificate }
}

// MARK: - Making one

extension TLSContext {
    /// A context for connections to servers.
    ///
    /// The server's certificate must rest on one of `roots`, be valid now, and be for the name or address that the connection is given.
    ///
    /// - Parameters:
    ///   - roots: The authorities that are believed.
    ///   - certificate: The client's own certificate, followed by those that it rests on, for servers that ask for one.
    ///   - key: The certificate's private key, not encrypted.  Given if and only if `certificate` is.
    ///   - protocols: The application protocols (ALPN) to offer, the preferred first; each 1 to 255 bytes.
    ///   - minimumVersion: Servers that speak only older versions are refused.
    ///   - checksServer: False accepts any certificate for any name, so that an attacker on the way can read and change everything.  For experiments only.
    ///   - resumesSessions: Whether a connection takes up the session of an earlier one to the same server again, which saves both sides most of the handshake's work.
    ///
    /// Throws where a file can't be read or used, and where OpenSSL 3 is not installed.
    public static func client(
        roots: TLSRoots = .system, certificate: PEMSource? = nil, key: PEMSource? = nil, protocols: [String] = [],
        minimumVersion: TLSVersion = .tls12, checksServer: Bool = true, resumesSessions: Bool = true
    ) throws(TLSContextError) -> TLSContext {
        require(
            (certificate == nil) == (key == nil), "TLSContext.client: a certificate and its key are given together")
        @Sendable func make(_ certificate: PEMSource?, _ key: PEMSource?) throws(TLSContextError) -> SessionContext {
            let context = try SessionContext(minimumVersion: minimumVersion)
            context.check(checksServer)
            if checksServer { try context.believe(roots) }
            if let certificate, let key { try context.use(certificate, key: key) }
            try context.offer(protocols)
            if resumesSessions { context.keepSessions() }
            return context
        }
        return TLSContext(.client, checksServer: checksServer, try make(certificate, key)) {
            (certificate, key, _) throws(TLSContextError) in try make(certificate, key)
        }
    }

    /// A context for the connections of a server.
    ///
    /// - Parameters:
    ///   - certificate: The server's certificate, followed by those that it rests on.
    ///   - key: The certificate's private key, not encrypted.
    ///   - clientAuthorities: Where given, each client has to send a certificate that rests on one of these.
    ///   - protocols: The application protocols (ALPN) that the server speaks, the preferred first; each 1 to 255 bytes.  A client that offers others only is
    ///     refused; one that offers none is not.
    ///   - minimumVersion: Clients that speak only older versions are refused.
    ///
    /// Throws where a file can't be read or used, where the key is not that of the certificate, and where OpenSSL 3 is not installed.
    public static func server(
        certificate: PEMSource, key: PEMSource, clientAuthorities: PEMSource? = nil, protocols: [String] = [],
        minimumVersion: TLSVersion = .tls12
    ) throws(TLSContextError) -> TLSContext {
        @Sendable func make(
            _ certificate: PEMSource, _ key: PEMSource, _ clientAuthorities: PEMSource?
        ) throws(TLSContextError) -> SessionContext {
            let context = try SessionContext(minimumVersion: minimumVersion)
            try context.use(certificate, key: key)
            if let clientAuthorities { try context.requireClients(of: clientAuthorities) }
            try context.accept(protocols)
            try context.giveTickets(for: clientAuthorities)
            return context
        }
        return TLSContext(
            .server, checksServer: true, try make(certificate, key, clientAuthorities), make: make)
    }

    /// From now on, new connections use this certificate; those that exist keep theirs.
    ///
    /// A server's clients take up their sessions as before, unless `clientAuthorities` are others.  For a client, `clientAuthorities` has no meaning.
    ///
    /// Throws as making a context does, and keeps the old certificate then.
    public func replaceCertificate(
        _ certificate: PEMSource, key: PEMSource, clientAuthorities: PEMSource? = nil
    ) throws(TLSContextError) {
        let next = try make(certificate, key, clientAuthorities)
        if role == .server { next.useTicketKeys(of: now) }
        current.withLock { $0 = next }
    }
}

extension SessionContext {
    fileprivate func believe(_ roots: TLSRoots) throws(TLSContextError) {
        if let source = roots.source { try trust(source, for: .roots) } else { try useSystemRoots() }
    }
}
