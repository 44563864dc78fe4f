internal import COpenSSL
import GreenNet

/// One `SSL_CTX`, which does not change once it is made.  Connections hold it, so that a replaced one lives as long as they need it.
///
/// Unchecked: OpenSSL guards what is in it, and what is here does not change.
final class SessionContext: @unchecked Sendable {
    let openssl: OpenSSL
    let context: OpaquePointer
    /// What OpenSSL's callback reads; freed with the context.
    private var protocols: UnsafeMutablePointer<green_tls_protocols>?
    /// This side's certificate.
    private(set) var certificate: TLSCertificate?

    /// With what client and server have in common.
    init(minimumVersion: TLSVersion) throws(TLSContextError) {
        openssl = try OpenSSL.load()
        openssl.pointee.ERR_clear_error()
        guard let context = openssl.pointee.SSL_CTX_new(openssl.pointee.TLS_method()) else {
            throw .failed(OpenSSLError.first(openssl).words)
        }
        self.context = context
        _ = openssl.pointee.SSL_CTX_set_options(context, GREEN_TLS_OPTIONS)
        control(SSL_CTRL_MODE, Int(GREEN_TLS_MODES))
        control(SSL_CTRL_SET_MIN_PROTO_VERSION, minimumVersion.rawValue)
    }

    deinit {
        openssl.pointee.SSL_CTX_free(context)
        protocols.map { UnsafeMutableRawPointer($0).deallocate() }
    }

    @discardableResult
    func control(_ command: Int32, _ number: Int, _ argument: UnsafeMutableRawPointer? = nil) -> Int {
        openssl.pointee.SSL_CTX_ctrl(context, command, number, argument)
    }

    func failure() -> TLSContextError { .failed(OpenSSLError.first(openssl).words) }

    // MARK: This side's certificate

    /// The certificate, those that it rests on behind it, and the key.
    func use(_ certificate: PEMSource, key: PEMSource) throws(TLSContextError) {
        let parser = PEMParser(openssl, certificate, for: .certificate)
        try parser.eachCertificate { one throws(TLSContextError) in try use(one, parser) }
        let privateKey = try PEMParser(openssl, key, for: .key).key()
        defer { openssl.pointee.EVP_PKEY_free(privateKey) }
        openssl.pointee.ERR_clear_error()
        if openssl.pointee.SSL_CTX_use_PrivateKey(context, privateKey) == 1,
            openssl.pointee.SSL_CTX_check_private_key(context) == 1
        {
            return
        }
        let error = OpenSSLError.first(openssl)
        if error.library == ERR_LIB_X509 {
            throw .keyDoesNotFit(key: key.name, certificate: certificate.name)
        }
        throw .invalid(.key, in: key.name, reason: error.words)
    }

    private func use(_ one: OpaquePointer, _ parser: PEMParser) throws(TLSContextError) {
        openssl.pointee.ERR_clear_error()
        if certificate == nil {
            guard openssl.pointee.SSL_CTX_use_certificate(context, one) == 1 else {
                throw parser.failure(OpenSSLError.first(openssl).words)
            }
            certificate = TLSCertificate(one, openssl)
            return
        }
        // The context takes the reference over.
        _ = openssl.pointee.X509_up_ref(one)
        if control(SSL_CTRL_CHAIN_CERT, 0, UnsafeMutableRawPointer(one)) != 1 {
            openssl.pointee.X509_free(one)
            throw parser.failure(OpenSSLError.first(openssl).words)
        }
    }

    // MARK: The other side's

    func useSystemRoots() throws(TLSContextError) {
        openssl.pointee.ERR_clear_error()
        if openssl.pointee.SSL_CTX_set_default_verify_paths(context) != 1 { throw failure() }
    }

    /// `eachSubject` is lent the name of each.
    func trust(
        _ source: PEMSource, for purpose: TLSContextError.Purpose, eachSubject: (OpaquePointer) -> Void = { _ in }
    ) throws(TLSContextError) {
        let (store, parser) = (
            openssl.pointee.SSL_CTX_get_cert_store(context), PEMParser(openssl, source, for: purpose)
        )
        try parser.eachCertificate { one throws(TLSContextError) in
            openssl.pointee.ERR_clear_error()
            guard openssl.pointee.X509_STORE_add_cert(store, one) == 1 else {
                throw parser.failure(OpenSSLError.first(openssl).words)
            }
            openssl.pointee.X509_get_subject_name(one).map(eachSubject)
        }
    }

    /// Asks each client for a certificate that rests on one of `authorities`, and refuses those that send none.
    func requireClients(of authorities: PEMSource) throws(TLSContextError) {
        guard let names = openssl.pointee.OPENSSL_sk_new_null() else { throw .failed("no memory") }
        // The context owns the list from now on; what is added later is in it too.
        openssl.pointee.SSL_CTX_set_client_CA_list(context, names)
        try trust(authorities, for: .clientAuthorities) { subject in
            guard let copy = openssl.pointee.X509_NAME_dup(subject) else { return }
            _ = openssl.pointee.OPENSSL_sk_push(names, UnsafeRawPointer(copy))
        }
        openssl.pointee.SSL_CTX_set_verify(
            context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }

    func check(_ isOn: Bool) {
        openssl.pointee.SSL_CTX_set_verify(context, isOn ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, green_tls_note_refused)
    }

    // MARK: Application protocols

    func offer(_ names: [String]) throws(TLSContextError) {
        guard !names.isEmpty else { return }
        let list = try SessionContext.list(names)
        if openssl.pointee.SSL_CTX_set_alpn_protos(context, list, UInt32(list.count)) != 0 {
            throw .failed("no memory")
        }
    }

    func accept(_ names: [String]) throws(TLSContextError) {
        guard !names.isEmpty else { return }
        let list = try SessionContext.list(names)
        let offset = MemoryLayout<green_tls_protocols>.size
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: offset + list.count, alignment: MemoryLayout<green_tls_protocols>.alignment)
        let protocols = memory.bindMemory(to: green_tls_protocols.self, capacity: 1)
        protocols.pointee.count = UInt32(list.count)
        (memory + offset).copyMemory(from: list, byteCount: list.count)
        self.protocols = protocols
        green_tls_select_protocols(context, protocols)
    }

    /// Each name with its length before it.
    private static func list(_ names: [String]) throws(TLSContextError) -> [UInt8] {
        var list: [UInt8] = []
        for name in names {
            let bytes = Array(name.utf8)
            guard (1...255).contains(bytes.count), list.count + bytes.count < 65_535 else { throw .badProtocol(name) }
            list.append(UInt8(bytes.count))
            list += bytes
        }
        return list
    }

    // MARK: Sessions

    /// A client's sessions come by a callback, and are kept in `SessionCache`.
    func keepSessions() {
        control(SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE))
        green_tls_watch_sessions(context)
    }

    /// A server's sessions are in tickets, which its clients keep.  Tickets that were given for other `authorities` of clients are not taken.
    func giveTickets(for authorities: PEMSource?) throws(TLSContextError) {
        control(SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF))
        let bytes = try authorities.map { source throws(TLSContextError) in try source.read(.clientAuthorities) } ?? []
        var digest = [UInt8](repeating: 0, count: 32)
        _ = openssl.pointee.EVP_Digest(bytes, bytes.count, &digest, nil, openssl.pointee.EVP_sha256(), nil)
        _ = openssl.pointee.SSL_CTX_set_session_id_context(context, digest, UInt32(digest.count))
    }

    /// Tickets that `other` has given are taken here too.
    func useTicketKeys(of other: SessionContext) {
        var keys = [UInt8](repeating: 0, count: max(0, other.control(SSL_CTRL_GET_TLSEXT_TICKET_KEYS, 0)))
        let count = keys.count
        keys.withUnsafeMutableBytes { keys in
            guard other.control(SSL_CTRL_GET_TLSEXT_TICKET_KEYS, count, keys.baseAddress) == 1 else { return }
            control(SSL_CTRL_SET_TLSEXT_TICKET_KEYS, count, keys.baseAddress)
        }
    }
}
