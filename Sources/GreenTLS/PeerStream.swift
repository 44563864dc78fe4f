import GreenNet

/// A `Connection`, or TLS over one: for code that serves both, and is compiled for each of them by itself, so that TLS costs a plain connection nothing.
///
/// Usable from inline, so that this code calls the functions of `Connection` themselves, and not by way of others that stand for them in the protocol.
@usableFromInline
package protocol PeerStream: ByteStream {
    /// The other side.
    var peerAddress: SocketAddress { get }

    /// As `Connection.receiveView(until:)`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    func receiveView(until deadline: Deadline) throws -> UnsafeMutableRawBufferPointer?

    /// As `Connection.sendAll(_:until:)`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws

    /// As `Connection.sendAll(_:stall:)`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws
}

extension Connection: PeerStream {
    @inlinable
    package var peerAddress: SocketAddress { peer }
}

extension TLSConnection: PeerStream {
    /// Over a stream that is no connection, an unnamed unix socket's.
    @usableFromInline
    package var peerAddress: SocketAddress { peer ?? .unix(path: "") }
}
