internal import COpenSSL
import GreenNet

/// One `SSL` object between two pieces of memory: records that came, and records that are to be sent.
///
/// No call waits, so that OpenSSL is never entered twice for one object.  Belongs to the OS thread of its connection.
final class TLSEngine {
    /// How a step has ended.
    enum Step {
        /// With this many plain bytes; 0 for a step of the handshake.
        case done(Int)
        /// Only after more records have come.
        case needsInput
        /// The other side has ended its stream.
        case ended
        case failed(TLSError.Reason)
    }

    private let openssl: OpenSSL
    private let session: OpaquePointer
    /// OpenSSL has its address.
    private let wire: UnsafeMutablePointer<green_tls_wire>
    private let context: SessionContext
    /// What came and OpenSSL has not taken yet; nil most of the time.
    private var kept: UnsafeMutableRawPointer?
    /// A failure that came behind bytes that were received, for the next step.
    private var pendingStep: Step?
    /// After a failure, OpenSSL must not be asked to send anything.
    private(set) var hasFailed = false
    /// Close_notify is among the records to be sent, or was sent.
    private(set) var hasEndedSending = false
    /// What the server's certificate is checked for.
    private var serverName: String?

    /// Nil where memory is short.
    init?(_ context: SessionContext, isServer: Bool) {
        (self.context, openssl) = (context, context.openssl)
        guard let session = openssl.pointee.SSL_new(context.context) else { return nil }
        wire = .allocate(capacity: 1)
        wire.initialize(to: green_tls_wire())
        self.session = session
        guard let bio = green_tls_bio(wire), green_tls_attach(session, wire) else { return nil }
        // One BIO for both directions: OpenSSL takes over one reference then.
        openssl.pointee.SSL_set_bio(session, bio, bio)
        if isServer {
            openssl.pointee.SSL_set_accept_state(session)
        } else {
            openssl.pointee.SSL_set_connect_state(session)
        }
    }

    deinit {
        // Else OpenSSL takes a connection that was dropped for one that has failed, and its session can't be taken up again.
        if !hasFailed { openssl.pointee.SSL_set_shutdown(session, SSL_SENT_SHUTDOWN) }
        openssl.pointee.SSL_free(session)
        if let output = takeOutput() { output.free() }
        if let refused = wire.pointee.refused { openssl.pointee.X509_free(refused) }
        if let offered = wire.pointee.new_session { openssl.pointee.SSL_SESSION_free(offered) }
        kept?.deallocate()
        wire.deallocate()
    }

    // MARK: Before the handshake

    /// Sends `name` to the server, and checks its certificate for it.  An address is checked and not sent, as the protocol has it.
    func setServerName(_ name: String) -> Bool {
        serverName = name
        let isAddress =
            openssl.pointee.X509_VERIFY_PARAM_set1_ip_asc(openssl.pointee.SSL_get0_param(session), name) == 1
        openssl.pointee.ERR_clear_error()
        if isAddress { return true }
        openssl.pointee.SSL_set_hostflags(session, GREEN_TLS_NAME_CHECKS)
        guard openssl.pointee.SSL_set1_host(session, name) == 1 else { return false }
        return name.withCString { name in
            openssl.pointee.SSL_ctrl(
                session, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name),
                UnsafeMutableRawPointer(mutating: name))
        } == 1
    }

    /// Offers the server to take up `earlier` again, and frees it.
    func resume(_ earlier: OpaquePointer) {
        _ = openssl.pointee.SSL_set_session(session, earlier)
        openssl.pointee.SSL_SESSION_free(earlier)
    }

    // MARK: Steps

    func handshake() -> Step {
        openssl.pointee.ERR_clear_error()
        let result = openssl.pointee.SSL_do_handshake(session)
        return result == 1 ? .done(0) : ending(result)
    }

    /// As many plain bytes as there are and fit.
    @inline(__always)
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Step {
        if let step = pendingStep { return takePending(step) }
        var total = 0
        while total < buffer.count {
            var count = 0
            openssl.pointee.ERR_clear_error()
            let result = openssl.pointee.SSL_read_ex(session, buffer.baseAddress! + total, buffer.count - total, &count)
            if result != 1 { return ending(result, after: total) }
            total += count
            // OpenSSL holds no whole record then, and there is no need to ask.
            if wire.pointee.input_count == 0, openssl.pointee.SSL_pending(session) == 0 { break }
        }
        return .done(total)
    }

    private func takePending(_ step: Step) -> Step {
        // A failure stays.
        if case .needsInput = step { pendingStep = nil }
        return step
    }

    private func ending(_ result: Int32, after total: Int) -> Step {
        let step = ending(result)
        if total == 0 { return step }
        switch step {
        case .failed, .ended: pendingStep = step
        default: break
        }
        return .done(total)
    }

    /// Makes records of `bytes`, at most a chunk, for the output.
    func write(_ bytes: UnsafeRawBufferPointer) -> TLSError.Reason? {
        var count = 0
        openssl.pointee.ERR_clear_error()
        let result = openssl.pointee.SSL_write_ex(session, bytes.baseAddress, bytes.count, &count)
        if result == 1 { return nil }
        if case .failed(let reason) = ending(result) { return reason }
        return .failed("OpenSSL takes no bytes to send")
    }

    /// The end of this side's stream, for the output.
    func endSending() {
        guard !hasFailed, !hasEndedSending else { return }
        hasEndedSending = true
        openssl.pointee.ERR_clear_error()
        _ = openssl.pointee.SSL_shutdown(session)
    }

    /// Looks at OpenSSL's error queue, right after the call that returned `result`.
    private func ending(_ result: Int32) -> Step {
        switch openssl.pointee.SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .ended
        default:
            hasFailed = true
            return .failed(reason())
        }
    }

    private func reason() -> TLSError.Reason {
        let error = OpenSSLError.first(openssl)
        guard error.library == ERR_LIB_SSL, error.reason == SSL_R_CERTIFICATE_VERIFY_FAILED else { return .init(error) }
        return .init(
            certificate: openssl.pointee.SSL_get_verify_result(session), wanted: serverName, names: refusedNames)
    }

    private var refusedNames: [String] { wire.pointee.refused.map { TLSCertificate($0, openssl).names } ?? [] }

    // MARK: Input

    /// Records that came, which stay where they are until `keepInput`; all that came before are taken.
    func give(_ records: UnsafeRawBufferPointer) {
        require(wire.pointee.input_count == 0, "TLS: input is given before the last was taken")
        wire.pointee.input = records.baseAddress?.assumingMemoryBound(to: UInt8.self)
        wire.pointee.input_count = records.count
    }

    /// To be called after a step, before anything parks: copies what OpenSSL has not taken yet.
    @inline(__always)
    func keepInput() {
        if wire.pointee.input_count > 0 || kept != nil { keepRest() }
    }

    /// For input that goes before the next step.
    func copyInput() {
        if wire.pointee.input_count > 0 { keepRest() }
    }

    @inline(never)
    private func keepRest() {
        let count = wire.pointee.input_count
        if count == 0 {
            kept?.deallocate()
            kept = nil
        } else if kept == nil {
            let copy = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 16)
            copy.copyMemory(from: wire.pointee.input!, byteCount: count)
            kept = copy
            wire.pointee.input = UnsafePointer(copy.assumingMemoryBound(to: UInt8.self))
        }
    }

    // MARK: Output

    @inline(__always)
    var hasOutput: Bool { wire.pointee.output_count > 0 }

    /// Hands over the records to be sent; nil where there are none.
    @inline(__always)
    func takeOutput() -> TLSOutput? {
        guard let start = wire.pointee.output else { return nil }
        let output = TLSOutput(start: start, count: wire.pointee.output_count, capacity: wire.pointee.output_capacity)
        wire.pointee.output = nil
        wire.pointee.output_count = 0
        return output
    }

    // MARK: What was agreed on

    var facts: TLSFacts {
        let cipher = openssl.pointee.SSL_get_current_cipher(session)
        return TLSFacts(
            version: text(openssl.pointee.SSL_get_version(session)),
            cipher: text(openssl.pointee.SSL_CIPHER_get_name(cipher)),
            applicationProtocol: applicationProtocol, peerCertificate: peerCertificate,
            isResumed: openssl.pointee.SSL_session_reused(session) == 1)
    }

    private func text(_ name: UnsafePointer<CChar>?) -> String { name.map { String(cString: $0) } ?? "" }

    private var applicationProtocol: String? {
        var (start, count): (UnsafePointer<UInt8>?, UInt32) = (nil, 0)
        openssl.pointee.SSL_get0_alpn_selected(session, &start, &count)
        return start.map { String(showing: UnsafeBufferPointer(start: $0, count: Int(count))) }
    }

    private var peerCertificate: TLSCertificate? {
        guard let certificate = openssl.pointee.SSL_get1_peer_certificate(session) else { return nil }
        defer { openssl.pointee.X509_free(certificate) }
        return TLSCertificate(certificate, openssl)
    }

    @inline(__always)
    var hasOfferedSession: Bool { wire.pointee.new_session != nil }

    /// A session for a later connection, which the caller takes over; nil where the server has offered none since.
    func takeOfferedSession() -> OpaquePointer? {
        guard let offered = wire.pointee.new_session else { return nil }
        wire.pointee.new_session = nil
        guard openssl.pointee.SSL_SESSION_is_resumable(offered) == 1 else {
            openssl.pointee.SSL_SESSION_free(offered)
            return nil
        }
        return offered
    }

    /// For a session of TLS 1.2 that was taken up: the server may offer no other, and it may be used again.
    func reusableSession() -> OpaquePointer? {
        guard openssl.pointee.SSL_session_reused(session) == 1, let session = openssl.pointee.SSL_get1_session(session)
        else { return nil }
        if openssl.pointee.SSL_SESSION_get_protocol_version(session) == TLSVersion.tls12.rawValue,
            openssl.pointee.SSL_SESSION_is_resumable(session) == 1
        {
            return session
        }
        openssl.pointee.SSL_SESSION_free(session)
        return nil
    }

    /// Makes this side change its keys with the next record, and ask the other side to do so: for tests.
    func updateKeys() -> Bool { openssl.pointee.SSL_key_update(session, SSL_KEY_UPDATE_REQUESTED) == 1 }
}

/// Records to be sent, in a buffer of the OS thread's.
struct TLSOutput {
    let start: UnsafeMutablePointer<UInt8>
    var sent = 0
    let count: Int
    let capacity: Int

    init(start: UnsafeMutablePointer<UInt8>, count: Int, capacity: Int) {
        (self.start, self.count, self.capacity) = (start, count, capacity)
    }

    var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start + sent, count: count - sent) }

    func free() { green_tls_give_back(start, capacity) }
}
