import Glibc

/// The process at the other side of a unix socket, as it was when it connected, or called `listen` or `socketpair`.
///
/// The kernel vouches for it.  The process may have ended since, and its number be another's.
public struct PeerCredentials: Hashable, Sendable {
    /// The process; 0 where it is in a process namespace that this one does not see.
    public let pid: Int32
    /// Its effective user.
    public let uid: UInt32
    /// Its effective group.
    public let gid: UInt32
}

extension Connection {
    /// Which process is at the other side of a unix socket.  Throws EOPNOTSUPP for a connection over TCP, which has none, and `closed` after
    /// `close()`.  Never waits.
    public var peerCredentials: PeerCredentials {
        get throws(NetError) {
            if socket.isClosed { throw NetError(.getsockopt, .wait(.closed), peer) }
            // Of a TCP socket, the kernel says process 0 and user -1, and no error.
            if peer.family != AF_UNIX { throw NetError(.getsockopt, result: -Int(EOPNOTSUPP), peer) }
            var numbers: (Int32, Int32, Int32) = (0, 0, 0)
            let result = SystemCalls.peerCredentials(socket.descriptor, &numbers)
            if result < 0 { throw NetError(.getsockopt, result: result, peer) }
            return PeerCredentials(
                pid: numbers.0, uid: UInt32(bitPattern: numbers.1), gid: UInt32(bitPattern: numbers.2))
        }
    }
}
