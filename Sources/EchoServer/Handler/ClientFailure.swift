import GreenNet
import ProgramKit

/// Why a client is not served, or is served no longer, that the accept loop has admitted: what a proxy says of it is wrong, or its own address, which
/// the proxy has named, has too many connections.
struct ClientFailure: Error {
    enum Reason: Sendable {
        case header(ProxyHeaderError)
        case refused(ClientRefusal)
    }

    let reason: Reason
    /// The other end of the connection.
    let peer: SocketAddress
    /// The client behind the proxy, where that is known.
    let client: SocketAddress?

    init(_ error: ProxyHeaderError, peer: SocketAddress) {
        (reason, self.peer, client) = (.header(error), peer, nil)
    }

    init(_ refusal: ClientRefusal, peer: SocketAddress, client: SocketAddress) {
        (reason, self.peer, self.client) = (.refused(refusal), peer, client)
    }
}

/// The connection ends as one that was idle where its header was late, as one whose peer has gone where the header was cut off, and else as one that the server
/// has ended.
extension ClientFailure: ConnectionFailure {
    var netError: NetError? {
        switch reason {
        case .header(let error) where error.reason == .late: NetError(.recv, .wait(.deadlinePassed), peer)
        case .header(let error) where error.reason == .cut: nil
        default: NetError(.accept, .wait(.closed), peer)
        }
    }

    var isPeerGone: Bool {
        if case .header(let error) = reason { error.reason == .cut } else { false }
    }
}

/// What has ended the connection of a client behind a proxy: the error is about the proxy's end, and the log has to have both.
struct ProxiedFailure: Error, ConnectionFailure {
    let error: any Error
    let client: SocketAddress

    var netError: NetError? { (error as? any ConnectionFailure)?.netError }
    var isPeerGone: Bool { (error as? any ConnectionFailure)?.isPeerGone ?? false }
}
