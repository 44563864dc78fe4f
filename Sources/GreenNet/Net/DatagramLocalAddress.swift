internal import CLinux
import Glibc

/// The addresses of this machine at which the datagrams of a batch came, or from which they go.
extension SystemCalls {
    /// The address of this machine that it came to or is to come from, without a port; nil where it is not known.
    static func localAddress(ofDatagram index: Int, in batch: OpaquePointer) -> SocketAddress? {
        let datagram = green_batch_at(batch, index)!
        if datagram.pointee.local_family == 0 { return nil }
        let size = datagram.pointee.local_family == AF_INET ? 4 : 16
        return withUnsafeBytes(of: datagram.pointee.local) { SocketAddress(networkBytes: $0.prefix(size), port: 0) }
    }

    /// Only of an IP address.
    static func setLocalAddress(_ address: SocketAddress, ofDatagram index: Int, in batch: OpaquePointer) {
        let datagram = green_batch_at(batch, index)!
        guard let bytes = address.networkBytes else { return }
        datagram.pointee.local_family = bytes.count == 4 ? AF_INET : AF_INET6
        withUnsafeMutableBytes(of: &datagram.pointee.local) { $0.copyBytes(from: bytes) }
    }
}
