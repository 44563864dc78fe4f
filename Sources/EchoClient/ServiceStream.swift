import GreenNet
import GreenTLS

/// The connection with the service, with TLS over it where the options ask for that.
enum ServiceStream {
    case plain(Connection)
    case tls(TLSConnection)

    var peer: SocketAddress {
        switch self {
        case .plain(let connection): connection.peerAddress
        case .tls(let connection): connection.peerAddress
        }
    }

    /// As `Connection.receive(into:until:)`.
    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        switch self {
        case .plain(let connection): try connection.receive(into: buffer, until: deadline)
        case .tls(let connection): try connection.receive(into: buffer, until: deadline)
        }
    }

    /// As `Connection.sendAll(_:until:)`.
    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws {
        switch self {
        case .plain(let connection): try connection.sendAll(bytes, until: deadline)
        case .tls(let connection): try connection.sendAll(bytes, until: deadline)
        }
    }

    /// A record of TLS carries no more.
    private static let record = 16 << 10

    /// Waits until some of `bytes` is on its way, and returns how many.
    func send(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        switch self {
        case .plain(let connection): return try connection.send(bytes)
        case .tls(let connection):
            let piece = UnsafeRawBufferPointer(rebasing: bytes.prefix(ServiceStream.record))
            try connection.sendAll(piece)
            return piece.count
        }
    }

    /// As `Connection.shutdownSending()`.
    func shutdownSending() throws {
        switch self {
        case .plain(let connection): try connection.shutdownSending()
        case .tls(let connection): try connection.shutdownSending()
        }
    }

    /// From now on, receiving returns what has come, and then the end.
    func finishReceiving() {
        switch self {
        case .plain(let connection): connection.finishReceiving()
        case .tls(let connection): (connection.stream as? Connection)?.finishReceiving()
        }
    }

    /// As `Connection.close()`.
    func close() {
        switch self {
        case .plain(let connection): connection.close()
        case .tls(let connection): connection.close()
        }
    }
}

extension Error {
    /// What the network said, with TLS over it or without.
    var netError: NetError? { (self as? any ConnectionFailure)?.netError }
}
