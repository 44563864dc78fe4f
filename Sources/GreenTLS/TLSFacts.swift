/// What the two sides of a connection have agreed on.
public struct TLSFacts: Sendable, Hashable {
    /// `TLSv1.2` or `TLSv1.3`.
    public let version: String
    /// The cipher's name, such as `TLS_AES_256_GCM_SHA384`.
    public let cipher: String
    /// The application protocol (ALPN), such as `h2`; nil where none was agreed on.
    public let applicationProtocol: String?
    /// The other side's certificate; nil where it has sent none.  On a resumed connection, the one of the connection before.
    public let peerCertificate: TLSCertificate?
    /// Whether an earlier session was taken up again, without a new exchange of certificates.
    public let isResumed: Bool
}

/// A version of TLS.
public enum TLSVersion: Int, Sendable, Comparable {
    /// TLS 1.2.
    case tls12 = 0x0303
    /// TLS 1.3.
    case tls13 = 0x0304

    /// By age.
    public static func < (left: TLSVersion, right: TLSVersion) -> Bool { left.rawValue < right.rawValue }
}
