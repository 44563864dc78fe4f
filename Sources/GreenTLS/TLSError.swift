import GreenNet

/// A call of a TLS connection that did not do what it was asked: which call, for which reason, and with whom.
public struct TLSError: Error, Sendable {
    /// What was asked for.
    public enum Call: String, Sendable {
        /// `TLSConnection.handshake(until:)`, and making the connection.
        case handshake
        /// One of the calls that receive.
        case receive
        /// One of the calls that send.
        case send
        /// `TLSConnection.shutdownSending(until:)`.
        case shutdown
    }

    /// Why it failed.
    public enum Reason: Sendable {
        /// The other side's certificate, or one that it rests on, was valid until a time that has passed.
        case expired
        /// The other side's certificate, or one that it rests on, will be valid at a later time.
        case notYetValid
        /// The other side has signed its certificate itself.
        case selfSigned
        /// The other side's certificate rests on none of the roots.
        case unknownAuthority
        /// The server's certificate is for other names or addresses, which are listed, than the one that was asked for.
        case wrongName(wanted: String, names: [String])
        /// The other side's certificate is refused for another reason, in OpenSSL's words.
        case badCertificate(String)
        /// The client has sent no certificate, and the server asks for one.
        case noCertificate
        /// The other side wants a version of TLS that this side does not speak.
        case version
        /// What came is no TLS.
        case notTLS
        /// No cipher is allowed on both sides.
        case noCommonCipher
        /// No application protocol (ALPN) is among those of both sides.
        case noCommonProtocol
        /// The other side has refused to go on, for the reason that it gives.
        case alert(TLSAlert)
        /// The stream has ended without the end that TLS gives it: what came may be cut short, by the other side's death or by an attacker.
        case truncated
        /// The server's name, to be sent and checked, is no name of a host and no address.
        case badName(String)
        /// The other side has broken the protocol, or OpenSSL has failed, in OpenSSL's words.
        case failed(String)
        /// The stream below has failed, a wait for it was ended by a deadline or a kill, or it was closed.
        case stream(any Error)
    }

    /// The call that failed.
    public var call: Call { facts.call }
    /// Why it failed.
    public var reason: Reason { facts.reason }
    /// The other side; nil where the stream below has no address.
    public var peer: SocketAddress? { facts.peer }
    /// The name that the client has asked for; nil on a server.
    public var serverName: String? { facts.serverName }

    /// One word: an error has its place in the frame of every call that can throw it.
    private let facts: Facts

    private final class Facts: Sendable {
        let call: Call
        let reason: Reason
        let peer: SocketAddress?
        let serverName: String?

        init(_ call: Call, _ reason: Reason, _ peer: SocketAddress?, _ serverName: String?) {
            (self.call, self.reason, self.peer, self.serverName) = (call, reason, peer, serverName)
        }
    }

    @inline(never)
    init(_ call: Call, _ reason: Reason, _ peer: SocketAddress?, _ serverName: String?) {
        facts = Facts(call, reason, peer, serverName)
    }
}

extension TLSError {
    /// Whether the other side has gone: it has reset the connection or ended it in the middle.
    public var isPeerGone: Bool {
        switch reason {
        case .truncated: true
        case .stream(let error): (error as? NetError)?.isPeerGone ?? false
        default: false
        }
    }

    /// Whether time ended the call: its own deadline, or the limit of an enclosing `withTimeout`.
    public var isTimeout: Bool { waitError?.isTimeout ?? false }

    /// Whether a kill of the green thread, or the failure of its group, ended the call.
    public var isCancellation: Bool { waitError?.isCancellation ?? false }
}

extension TLSError: WaitEnding {
    /// Set where a deadline, a kill or a `close()` ended the call.
    public var waitError: WaitError? {
        if case .stream(let error) = reason { (error as? any WaitEnding)?.waitError } else { nil }
    }
}

extension TLSError: ConnectionFailure {
    package var netError: NetError? {
        if case .stream(let error) = reason { error as? NetError } else { nil }
    }
}

// MARK: - Words

extension TLSError: CustomStringConvertible {
    /// As in `cannot complete the TLS handshake with 192.0.2.1:443 (example.org): the certificate has expired`.
    public var description: String { "cannot \(deed): \(reasonInWords)" }

    private var deed: String {
        switch call {
        case .handshake: "complete the TLS handshake" + other("with")
        case .receive: "receive TLS" + other("from")
        case .send: "send TLS" + other("to")
        case .shutdown: "end the TLS stream" + other("to")
        }
    }

    private func other(_ preposition: String) -> String {
        switch (peer, serverName?.escaped) {
        case (let peer?, let name?): " \(preposition) \(peer) (\(name))"
        case (let peer?, nil): " \(preposition) \(peer)"
        case (nil, let name?): " \(preposition) \(name)"
        case (nil, nil): ""
        }
    }

    /// The reason alone, as in `the certificate has expired`.
    public var reasonInWords: String {
        switch reason {
        case .expired: "the certificate has expired"
        case .notYetValid: "the certificate is not yet valid"
        case .selfSigned: "the certificate is self-signed, and not among the roots"
        case .unknownAuthority: "the certificate is signed by an authority that is not among the roots"
        case .wrongName(let wanted, let names): wrongName(wanted, names)
        case .badCertificate(let words): "the certificate is refused: \(words)"
        case .noCertificate: "the client has sent no certificate"
        case .version: "the other side speaks no version of TLS that is allowed here"
        case .notTLS: "what came is no TLS"
        case .noCommonCipher: "no cipher is allowed on both sides"
        case .noCommonProtocol: "no application protocol is among those of both sides"
        case .alert(let alert): "the other side refuses: \(alert)"
        case .truncated where call == .handshake: "the other side has ended the connection during the handshake"
        case .truncated: "the stream has ended without TLS's end (close_notify), and may be cut short"
        case .badName(let name):
            "'\(name.escaped)' is no name of a host: 1 to 253 bytes of ASCII without spaces are expected"
        case .failed(let words): words
        case .stream(let error): "\(error)"
        }
    }

    private func wrongName(_ wanted: String, _ names: [String]) -> String {
        let shown = names.prefix(5).map(\.escaped).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
        return names.isEmpty
            ? "the certificate names no host, so not \(wanted.escaped)"
            : "the certificate is for \(shown), not for \(wanted.escaped)"
    }
}
