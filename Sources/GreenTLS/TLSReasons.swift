internal import COpenSSL
import GreenNet

// From OpenSSL's numbers to `TLSError.Reason`.

extension TLSError.Reason {
    /// What the last call has reported, other than about a certificate.
    init(_ error: OpenSSLError) {
        guard error.library == ERR_LIB_SSL else {
            self = .failed(error.words)
            return
        }
        // A fatal alert of the other side is reported as its number and an offset.
        if (1...255).contains(error.reason - GREEN_TLS_FATAL_OFFSET) {
            self = .alert(TLSAlert(code: UInt8(error.reason - GREEN_TLS_FATAL_OFFSET)))
            return
        }
        switch error.reason {
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_UNSUPPORTED_SSL_VERSION, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH,
            SSL_R_WRONG_SSL_VERSION, SSL_R_NO_PROTOCOLS_AVAILABLE, SSL_R_INAPPROPRIATE_FALLBACK:
            self = .version
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_UNKNOWN_PROTOCOL,
            SSL_R_BAD_RECORD_TYPE, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_RECORD_LENGTH_MISMATCH:
            self = .notTLS
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_CIPHERS_AVAILABLE: self = .noCommonCipher
        case SSL_R_NO_APPLICATION_PROTOCOL: self = .noCommonProtocol
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: self = .noCertificate
        default: self = .failed(error.words)
        }
    }

    /// Of a certificate that was refused: `code` is one of `X509_V_ERR_...`.
    init(certificate code: Int, wanted: String?, names: @autoclosure () -> [String]) {
        switch Int32(truncatingIfNeeded: code) {
        case X509_V_ERR_CERT_HAS_EXPIRED: self = .expired
        case X509_V_ERR_CERT_NOT_YET_VALID: self = .notYetValid
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: self = .selfSigned
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
            X509_V_ERR_CERT_UNTRUSTED:
            self = .unknownAuthority
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            self = .wrongName(wanted: wanted ?? "", names: names())
        default:
            let words = OpenSSL.loaded.pointee.X509_verify_cert_error_string(code)
            self = .badCertificate(words.map { String(cString: $0) } ?? "OpenSSL's reason \(code)")
        }
    }
}
