/// What one side of a TLS connection tells the other when it refuses to go on, as RFC 8446 numbers it.
public struct TLSAlert: Hashable, Sendable, CustomStringConvertible {
    /// The number in the protocol, 0 to 255.
    public let code: UInt8

    /// The alert of that number.
    public init(code: UInt8) { self.code = code }

    /// The name in RFC 8446 or RFC 5246, such as `certificate_expired`; nil for a number that has none there.
    public var name: String? {
        switch code {
        case 0: "close_notify"
        case 10: "unexpected_message"
        case 20: "bad_record_mac"
        case 22: "record_overflow"
        case 30: "decompression_failure"
        case 40: "handshake_failure"
        case 42: "bad_certificate"
        case 43: "unsupported_certificate"
        case 44: "certificate_revoked"
        case 45: "certificate_expired"
        case 46: "certificate_unknown"
        case 47: "illegal_parameter"
        case 48: "unknown_ca"
        case 49: "access_denied"
        case 50: "decode_error"
        case 51: "decrypt_error"
        case 70: "protocol_version"
        case 71: "insufficient_security"
        case 80: "internal_error"
        case 86: "inappropriate_fallback"
        case 90: "user_canceled"
        case 100: "no_renegotiation"
        case 109: "missing_extension"
        case 110: "unsupported_extension"
        case 112: "unrecognized_name"
        case 113: "bad_certificate_status_response"
        case 115: "unknown_psk_identity"
        case 116: "certificate_required"
        case 120: "no_application_protocol"
        default: nil
        }
    }

    /// In words, with the name behind, as in `it does not know the certificate's authority (unknown_ca)`.
    public var description: String {
        guard let name else { return "alert \(code)" }
        return words.map { "\($0) (\(name))" } ?? name
    }

    private var words: String? {
        switch code {
        case 40: "it accepts none of the parameters that were offered"
        case 42: "it takes the certificate for damaged"
        case 43: "it can't use a certificate of that kind"
        case 44: "the certificate was revoked"
        case 45: "the certificate has expired"
        case 46: "it does not accept the certificate"
        case 48: "it does not know the certificate's authority"
        case 49: "the certificate is valid, and access is denied"
        case 70: "it speaks no version of TLS that was offered"
        case 71: "it wants stronger ciphers"
        case 112: "it has no certificate for the name that was asked for"
        case 116: "it asks for a client's certificate"
        case 120: "it speaks none of the application protocols that were offered"
        default: nil
        }
    }

    static let noRenegotiation = TLSAlert(code: 100)
}
