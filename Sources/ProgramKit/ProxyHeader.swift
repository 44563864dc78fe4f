import GreenNet

/// A header of the PROXY protocol, version 1 or 2: what a proxy sends in front of all bytes of a connection, to say who its client is.
///
/// As HAProxy's `doc/proxy-protocol.txt` has it.  `ProxyHeaderParser` reads it, and `ProxyHeaderWriter` writes it.
package struct ProxyHeader: Hashable, Sendable {
    package enum Version: String, CaseIterable, Sendable {
        /// A line of text.
        case v1
        /// Binary, with extensions.
        case v2
    }

    /// The client, and where it has connected to.
    package struct Ends: Hashable, Sendable {
        package var source: SocketAddress
        package var destination: SocketAddress

        package init(source: SocketAddress, destination: SocketAddress) {
            (self.source, self.destination) = (source, destination)
        }
    }

    package var version: Version
    /// The proxy speaks for itself, as its health checks do (`LOCAL`).
    package var isLocal: Bool
    /// Nil where the proxy speaks for itself, or does not say who its client is (`UNKNOWN`): the connection's own ends count then.
    package var ends: Ends?
    package var extensions: Extensions

    package init(
        _ version: Version, _ ends: Ends?, isLocal: Bool = false, extensions: Extensions = Extensions()
    ) {
        (self.version, self.ends, self.isLocal, self.extensions) = (version, ends, isLocal, extensions)
    }

    /// What version 2 can say besides: the extensions of known types.  Texts are shown as the proxy has sent them, escaped where they are not UTF-8.
    package struct Extensions: Hashable, Sendable {
        /// The protocol that client and proxy have agreed on, such as `h2`.
        package var alpn: String?
        /// The host name that the client has asked for.
        package var authority: String?
        /// What names the connection in the proxy's logs: 128 bytes at most.
        package var uniqueID: [UInt8]?
        /// The proxy's network namespace.
        package var namespace: String?
        package var tls: TLSFacts?
        /// Whether there was a checksum.  It was right then.
        package var isChecked = false

        package init() {}
    }

    /// Of the client's connection with the proxy, where that was TLS.
    package struct TLSFacts: Hashable, Sendable {
        /// Whether the client has sent a certificate that was verified.
        package var hasVerifiedClient: Bool
        /// Such as `TLSv1.3`.
        package var version: String?
        package var cipher: String?
        /// The common name of the client's certificate.
        package var commonName: String?
    }
}

/// Why bytes are not taken for a header, or a header is not taken.
package struct ProxyHeaderError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: String, CaseIterable, Sendable {
        /// The bytes are no header, and one is required.
        case absent
        /// The stream has ended in a header.
        case cut
        /// It was not complete in time.
        case late
        /// It is longer than any header.
        case tooLong
        /// A part of it has a value that it can't have.
        case malformed
        /// The bytes have another sum than the header says.
        case checksum
        /// Another header follows.
        case doubled
        /// The sender is none of the trusted proxies.
        case untrusted
    }

    package let reason: Reason
    /// What is wrong, in words, with the value that was found.
    package let description: String

    package init(_ reason: Reason, _ description: String) { (self.reason, self.description) = (reason, description) }
}
