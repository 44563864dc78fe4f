internal import COpenSSL
import GreenNet

/// Certificates and keys out of PEM.
struct PEMParser {
    private let openssl: OpenSSL
    private let source: PEMSource
    private let purpose: TLSContextError.Purpose

    init(_ openssl: OpenSSL, _ source: PEMSource, for purpose: TLSContextError.Purpose) {
        (self.openssl, self.source, self.purpose) = (openssl, source, purpose)
    }

    func failure(_ reason: String) -> TLSContextError { .invalid(purpose, in: source.name, reason: reason) }

    /// All certificates, 1 or more, each of which `body` is lent.
    func eachCertificate(_ body: (OpaquePointer) throws(TLSContextError) -> Void) throws(TLSContextError) {
        let bytes = try source.read(purpose)
        try withBIO(bytes) { bio throws(TLSContextError) in
            var count = 0
            while let certificate = try nextCertificate(bio, count) {
                defer { openssl.pointee.X509_free(certificate) }
                try body(certificate)
                count += 1
            }
        }
    }

    /// Nil behind the last one.
    private func nextCertificate(_ bio: OpaquePointer, _ count: Int) throws(TLSContextError) -> OpaquePointer? {
        openssl.pointee.ERR_clear_error()
        if let certificate = openssl.pointee.PEM_read_bio_X509(bio, nil, nil, nil) { return certificate }
        let error = OpenSSLError.first(openssl)
        guard error.library == ERR_LIB_PEM, error.reason == PEM_R_NO_START_LINE else { throw failure(error.words) }
        if count == 0 { throw failure("no certificate in PEM is in it") }
        return nil
    }

    /// The key, which the caller frees.
    func key() throws(TLSContextError) -> OpaquePointer {
        let bytes = try source.read(purpose)
        return try withBIO(bytes) { bio throws(TLSContextError) in
            var isEncrypted = false
            openssl.pointee.ERR_clear_error()
            let key = openssl.pointee.PEM_read_bio_PrivateKey(bio, nil, green_tls_no_passphrase, &isEncrypted)
            if let key { return key }
            if isEncrypted { throw .encryptedKey(source.name) }
            // OpenSSL looks for any kind of key in whatever it is given, and reports what the last of its decoders has said.
            let isThere = String(decoding: bytes, as: UTF8.self).holds("PRIVATE KEY-----")
            throw failure(isThere ? OpenSSLError.first(openssl).words : "no private key in PEM is in it")
        }
    }

    private func withBIO<Value>(
        _ bytes: [UInt8], _ body: (OpaquePointer) throws(TLSContextError) -> Value
    ) throws(TLSContextError) -> Value {
        if bytes.isEmpty { throw failure("it is empty") }
        return try bytes.withUnsafeBufferPointer { bytes throws(TLSContextError) in
            guard let bio = openssl.pointee.BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else {
                throw .failed("no memory")
            }
            defer { _ = openssl.pointee.BIO_free(bio) }
            return try body(bio)
        }
    }
}
