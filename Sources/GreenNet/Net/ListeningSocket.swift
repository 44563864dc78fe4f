import Glibc

/// An open listening socket that belongs to no hub yet, so that it can be handed to another OS thread or a child process.  `Listener` takes it over there.
///
/// It does not close its descriptor by itself.
public struct ListeningSocket: Sendable {
    /// The open descriptor.
    public let descriptor: Int32
    /// Where it listens; with port 0, the port that the kernel chose.
    public let address: SocketAddress
    /// Which file the path of a unix socket is: another server may have put its own file there since.
    private let file: SystemCalls.FileIdentity?
    /// Whether another program has made it, and goes on listening when this one has ended: its path and its queue belong to that program.
    public let isInherited: Bool

    /// Binds and listens.  The path of a unix socket at which no server answers any more is taken over.
    /// With `sharesPort`, several sockets may listen on one port, and the kernel spreads the connections over them.  With `freebind`, the
    /// machine need not have the address yet.  `options` are set before it is bound; accepted connections inherit them.  There is no moment in which the path of a unix socket allows more than `permissions`.
    ///
    /// Throws what the kernel refused, and EISDIR or ENOTSOCK where a directory or another file has the path.  Callable from any OS thread.
    public init(
        on wanted: SocketAddress, backlog: Int, sharesPort: Bool = false, freebind: Bool = false,
        options: [SocketOption] = [], permissions: UnixPermissions = UnixPermissions()
    ) throws(NetError) {
        descriptor = try ListeningSocket.bound(
            to: wanted, sharesPort: sharesPort, freebind: freebind, options: options, permissions: permissions)
        file = wanted.filePath.flatMap { SystemCalls.FileIdentity(of: $0) }
        do throws(NetError) {
            if let path = wanted.filePath { try permissions.grant(at: path, of: wanted) }
            address = try ListeningSocket.listen(descriptor, wanted, backlog: backlog)
        } catch {
            SystemCalls.close(descriptor)
            // The bind has made it, and no other code would remove it.
            ListeningSocket.removePath(of: wanted, ifStill: file)
            throw error
        }
        isInherited = false
    }

    init(inherited descriptor: Int32, address: SocketAddress) {
        (self.descriptor, self.address, file, isInherited) = (descriptor, address, nil, true)
    }

    init(taken descriptor: Int32, address: SocketAddress) {
        (self.descriptor, self.address, isInherited) = (descriptor, address, false)
        file = address.filePath.flatMap { SystemCalls.FileIdentity(of: $0) }
    }

    /// How many connections wait in the kernel's queue; nil for a unix socket, of which the kernel does not report it.
    public var queuedConnections: Int? { SystemCalls.queuedConnections(descriptor) }

    /// Sets `options`, which connections that are accepted from now on inherit, and the length of the queue; and gives the path of a unix socket `permissions`.
    /// Throws what the kernel refused, and leaves what was set before it.
    package func adjust(
        _ options: [SocketOption], backlog: Int, permissions: UnixPermissions
    ) throws(NetError) {
        for option in options { try option.set(on: descriptor, family: address.family, address) }
        let result = SystemCalls.listen(descriptor, backlog: Int32(clamping: backlog))
        if result < 0 { throw NetError(.listen, result: result, address) }
        if let path = address.filePath { try permissions.grant(at: path, of: address) }
    }

    /// Closes the descriptor here; in other processes it stays.
    public func close() { SystemCalls.close(descriptor) }

    /// Another descriptor for the same socket, for another hub.  Throws where the process or the system has no descriptor left.
    public func duplicate() throws(NetError) -> ListeningSocket {
        let result = SystemCalls.duplicate(descriptor)
        if result < 0 { throw NetError(.socket, result: result, address) }
        return ListeningSocket(copyOf: self, Int32(result))
    }

    private init(copyOf other: ListeningSocket, _ descriptor: Int32) {
        (self.descriptor, address, file, isInherited) = (descriptor, other.address, other.file, other.isInherited)
    }

    /// Removes the path of a unix socket, if the path still leads to this socket and not to another server's.
    public func removePath() { if !isInherited { ListeningSocket.removePath(of: address, ifStill: file) } }

    private static func removePath(of address: SocketAddress, ifStill file: SystemCalls.FileIdentity?) {
        guard let path = address.filePath, file == SystemCalls.FileIdentity(of: path) else { return }
        _ = SystemCalls.unlink(path)
    }
}

extension ListeningSocket {
    /// Accepts the connections that the kernel has queued by now, as blocking ones, and calls `take` with each.  What an inherited socket
    /// has queued is left to the process that accepts there next.
    package func acceptQueued(_ take: (consuming PendingConnection) -> Void) {
        if isInherited { return }
        for _ in 0..<(SystemCalls.queuedConnections(descriptor) ?? Listener.defaultBacklog) {
            do throws(NetError) {
                guard let client = try acceptNow(blocking: true) else { return }
                take(client)
            } catch {
                // Behind a connection that was lost there may be others.
                guard AcceptFailure(error) == .skip else { return }
            }
        }
    }

    /// The next connection; nil where no client is there.  Callable from any OS thread.
    package func acceptNow(blocking: Bool) throws(NetError) -> PendingConnection? {
        var storage = KernelAddress()
        let result = withUnsafeMutablePointer(to: &storage) { storage in
            SystemCalls.accept(descriptor, from: storage, blocking: blocking)
        }
        if result >= 0 { return PendingConnection(descriptor: Int32(result), peer: SocketAddress(storage)) }
        if result == -Int(EAGAIN) || !mayConcernClient(result) { return nil }
        throw NetError(.accept, result: result, address)
    }

    /// False where the process or the system has no descriptor left, and no client is there: the kernel takes a descriptor before it looks for a client.
    func mayConcernClient(_ result: Int) -> Bool {
        guard result == -Int(EMFILE) || result == -Int(ENFILE) else { return true }
        return SystemCalls.poll(descriptor, for: .readable) > 0
    }
}

// MARK: - Opening

extension ListeningSocket {
    static func bound(
        to address: SocketAddress, sharesPort: Bool, freebind: Bool, options: [SocketOption] = [],
        permissions: UnixPermissions
    ) throws(NetError) -> Int32 {
        guard var storage = address.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), address) }
        let result = SystemCalls.socket(family: address.family)
        guard result >= 0 else { throw NetError(.socket, result: result, address) }
        let descriptor = Int32(result)
        do throws(NetError) {
            try setOptions(descriptor, address, sharesPort)
            if freebind { try allowForeign(descriptor, address) }
            for option in options { try option.set(on: descriptor, family: address.family, address) }
            if address.filePath != nil { try permissions.withholdAll(from: descriptor, at: address) }
            try bind(descriptor, address, &storage)
        } catch {
            SystemCalls.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Returns where it listens then.
    private static func listen(
        _ descriptor: Int32, _ address: SocketAddress, backlog: Int
    ) throws(NetError) -> SocketAddress {
        try check(.listen, SystemCalls.listen(descriptor, backlog: Int32(clamping: backlog)), address)
        var storage = KernelAddress()
        try check(.getsockname, SystemCalls.localAddress(descriptor, into: &storage), address)
        return SocketAddress(storage)
    }

    /// Accepted sockets inherit them, which saves a system call for each.
    private static func setOptions(
        _ descriptor: Int32, _ address: SocketAddress, _ sharesPort: Bool
    ) throws(NetError) {
        if case .unix = address { return }
        if sharesPort {
            try check(.setsockopt, SystemCalls.setOption(descriptor, level: SOL_SOCKET, SO_REUSEPORT, to: 1), address)
        }
        try check(.setsockopt, SystemCalls.setOption(descriptor, level: SOL_SOCKET, SO_REUSEADDR, to: 1), address)
        // An answer is sent when it is ready, not when the one before was acknowledged.
        try check(
            .setsockopt, SystemCalls.setOption(descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY, to: 1), address)
        try check(.setsockopt, SystemCalls.keepUrgentByteInStream(descriptor), address)
    }

    /// Lets it be bound to an address that the machine does not have.
    private static func allowForeign(_ descriptor: Int32, _ address: SocketAddress) throws(NetError) {
        let result: Int
        switch address {
        case .ipv4: result = SystemCalls.setOption(descriptor, level: Int32(IPPROTO_IP), IP_FREEBIND, to: 1)
        case .ipv6: result = SystemCalls.setOption(descriptor, level: Int32(IPPROTO_IPV6), IPV6_FREEBIND, to: 1)
        case .unix: return
        }
        try check(.setsockopt, result, address)
    }

    private static func bind(
        _ descriptor: Int32, _ address: SocketAddress, _ storage: inout KernelAddress
    ) throws(NetError) {
        var result = SystemCalls.bind(descriptor, to: &storage)
        if result == -Int(EADDRINUSE), let path = address.filePath {
            try checkIsSocket(path, address)
            if isStale(&storage) {
                try check(.unlink, SystemCalls.unlink(path), address)
                result = SystemCalls.bind(descriptor, to: &storage)
            }
        }
        try check(.bind, result, address)
    }

    /// The kernel calls an address in use where any file has the path.  A file that is no socket "refuses" connections too, and is left alone.
    static func checkIsSocket(_ path: String, _ address: SocketAddress) throws(NetError) {
        switch SystemCalls.kind(ofFileAt: path) {
        case S_IFSOCK, 0: return
        case S_IFDIR: throw NetError(.bind, result: -Int(EISDIR), address)
        default: throw NetError(.bind, result: -Int(ENOTSOCK), address)
        }
    }

    /// A path left behind by a server that is gone.  Asked with a socket of another kind: one that is bound, listening already or not yet, says
    /// EPROTOTYPE then, and the server gets no connection.
    static func isStale(_ storage: inout KernelAddress) -> Bool {
        let probe = SystemCalls.datagramSocket(family: AF_UNIX)
        guard probe >= 0 else { return false }
        defer { SystemCalls.close(Int32(probe)) }
        return SystemCalls.connect(Int32(probe), to: &storage) == -Int(ECONNREFUSED)
    }

    private static func check(_ call: NetError.Call, _ result: Int, _ address: SocketAddress) throws(NetError) {
        if result < 0 { throw NetError(call, result: result, address) }
    }
}

extension SocketAddress {
    /// The path of a unix socket that has one in the file system.
    var filePath: String? {
        guard case .unix(let path) = self, !path.isEmpty, !path.hasPrefix("@") else { return nil }
        return path
    }
}
