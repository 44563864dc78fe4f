import Glibc

/// Sockets that another program has opened and left open for this one, under some number: systemd or inetd, say.
public enum InheritedSocket {
    /// Why a descriptor is not what it should be.
    public enum Problem: Error, Hashable, Sendable {
        /// What the descriptor is, or is not.
        case notOpen, noSocket, noStream, notListening, listening, notConnected
        /// The socket's family is none of IPv4, IPv6 and unix.
        case otherFamily(Int32)
        /// The kernel refused.
        case system(SystemError)
    }

    /// Checks that `descriptor` is a stream socket that listens, and makes it ready for use.  Where it throws, the descriptor stays open.
    ///
    /// Accepting there never blocks from now on: that is a property of the socket, and holds in all processes that share it.
    public static func listener(_ descriptor: Int32) throws(Problem) -> ListeningSocket {
        let family = try checkStream(descriptor)
        guard try option(descriptor, SO_ACCEPTCONN) != 0 else { throw .notListening }
        try check(SystemCalls.closeOnExec(descriptor))
        try check(SystemCalls.setBlocking(descriptor, false))
        setOptions(descriptor, family)
        var storage = KernelAddress()
        try check(SystemCalls.localAddress(descriptor, into: &storage))
        return ListeningSocket(inherited: descriptor, address: SocketAddress(storage))
    }

    /// The same for a socket that the other program gives away: the path of a unix socket and the queue belong to this one from now on.
    package static func taken(_ descriptor: Int32) throws(Problem) -> ListeningSocket {
        ListeningSocket(taken: descriptor, address: try listener(descriptor).address)
    }

    /// Checks that `descriptor` is a connected stream socket, makes it a blocking one, and returns the address of the other side.
    package static func connection(_ descriptor: Int32) throws(Problem) -> SocketAddress {
        try connection(descriptor, blocking: true)
    }

    /// The same for a hub: non-blocking, and closed on exec.
    static func adopt(_ descriptor: Int32) throws(Problem) -> SocketAddress {
        let peer = try connection(descriptor, blocking: false)
        try check(SystemCalls.closeOnExec(descriptor))
        return peer
    }

    private static func connection(_ descriptor: Int32, blocking: Bool) throws(Problem) -> SocketAddress {
        let family = try checkStream(descriptor)
        guard try option(descriptor, SO_ACCEPTCONN) == 0 else { throw .listening }
        var storage = KernelAddress()
        let result = SystemCalls.peerAddress(descriptor, into: &storage)
        if result == -Int(ENOTCONN) { throw .notConnected }
        try check(result)
        try check(SystemCalls.setBlocking(descriptor, blocking))
        setOptions(descriptor, family)
        return SocketAddress(storage)
    }

    /// Returns the family.
    private static func checkStream(_ descriptor: Int32) throws(Problem) -> Int32 {
        guard try option(descriptor, SO_TYPE) == Int(SOCK_STREAM.rawValue) else { throw .noStream }
        let family = Int32(try option(descriptor, SO_DOMAIN))
        guard [AF_INET, AF_INET6, AF_UNIX].contains(family) else { throw .otherFamily(family) }
        return family
    }

    /// As it is for sockets of our own: see `ListeningSocket`.
    private static func setOptions(_ descriptor: Int32, _ family: Int32) {
        _ = SystemCalls.keepUrgentByteInStream(descriptor)
        guard family != AF_UNIX else { return }
        _ = SystemCalls.setOption(descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY, to: 1)
    }

    private static func option(_ descriptor: Int32, _ name: Int32) throws(Problem) -> Int {
        let result = SystemCalls.option(descriptor, level: SOL_SOCKET, name)
        try check(result)
        return result
    }

    private static func check(_ result: Int) throws(Problem) {
        switch result {
        case 0...: return
        case -Int(EBADF): throw .notOpen
        case -Int(ENOTSOCK): throw .noSocket
        default: throw .system(SystemError(Int32(-result)))
        }
    }
}

extension InheritedSocket.Problem: CustomStringConvertible {
    /// The end of a sentence that begins with the descriptor.
    public var description: String {
        switch self {
        case .notOpen: "is not open"
        case .noSocket: "is not a socket"
        case .noStream: "is not a stream socket"
        case .notListening: "is not a listening socket"
        case .listening: "is a listening socket, not a connected one"
        case .notConnected: "is not connected"
        case .otherFamily(let family): "is of address family \(family), not IPv4, IPv6 or unix"
        case .system(let errno): "cannot be used: \(errno)"
        }
    }
}
