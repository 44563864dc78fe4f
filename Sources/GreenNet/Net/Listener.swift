import Glibc

/// A listening stream socket.  It owns its descriptor, and the path of a unix socket, which it removes when it closes, unless it has
/// inherited them.
/// Belongs to the OS thread that made it.
public final class Listener {
    /// Where it listens; with port 0, the port that the kernel chose.
    public let address: SocketAddress
    let socket: Socket
    private let origin: ListeningSocket
    private let ownsPath: Bool
    private var isRetired = false
    /// Off a hub: asked when a signal has interrupted the wait for a connection.
    private let shouldStop: () -> Bool

    /// Longer queues are cut by the kernel at net.core.somaxconn.
    public static let defaultBacklog = 4096

    /// Binds and listens.  The path of a unix socket at which no server answers any more is taken over.  With `freebind`, the machine need not
    /// have the address yet: it is listened on from when the machine gets it.  Accepted connections inherit `options`.  Throws what the
    /// kernel refused, and EISDIR or ENOTSOCK where a directory or another file has the path.
    public convenience init(
        on wanted: SocketAddress, backlog: Int = Listener.defaultBacklog, freebind: Bool = false,
        options: [SocketOption] = []
    ) throws(NetError) {
        self.init(try ListeningSocket(on: wanted, backlog: backlog, freebind: freebind, options: options))
    }

    /// Takes over `origin`, for use on the hub of the calling OS thread.  With `ownsPath`, closing it removes the path of a unix socket.
    public init(_ origin: ListeningSocket, ownsPath: Bool = true) {
        (self.origin, self.ownsPath, address) = (origin, ownsPath, origin.address)
        shouldStop = { false }
        socket = .make(origin.descriptor, priority: -1)
    }

    /// Takes over `origin`, for use on an OS thread that has no hub.  It waits with its signals unblocked, and stops where one of them has
    /// interrupted it and `shouldStop` says so.
    package init(offHub origin: ListeningSocket, shouldStop: @escaping () -> Bool) {
        (self.origin, ownsPath, address) = (origin, false, origin.address)
        self.shouldStop = shouldStop
        socket = .makeBlocking(origin.descriptor, receiveBufferSize: 0)
    }

    deinit {
        if !isClosed, ownsPath { origin.removePath() }
        socket.free()
    }

    /// Stops listening.  The kernel resets connections in its queue that were not accepted.  Never waits.
    public func close() {
        if !isClosed, ownsPath { origin.removePath() }
        socket.close()
    }

    /// Waits for the next connection.  Throws when `deadline` has passed, when killed, and where the kernel says so: what to do about
    /// the latter is sorted by `AcceptFailure`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func accept(until deadline: Deadline = .never) throws(NetError) -> Connection {
        do throws(WaitError) { try socket.takeTurn() } catch { throw NetError(.accept, .wait(error), address) }
        while true {
            try waitUntilAcceptable(until: deadline)
            if let socket = try acceptNow(blocking: false) {
                let peer = socket.peer
                return Connection(descriptor: socket.releaseDescriptor(), peer: peer)
            }
        }
    }

    /// Waits until a connection may be there.
    func waitUntilAcceptable(until deadline: Deadline = .never) throws(NetError) {
        if shouldStop() { throw NetError(.accept, .wait(.closed), address) }
        if socket.mayReceive { return }
        if let error = waitForConnection(until: deadline) { throw NetError(.accept, .wait(error), address) }
    }

    /// The next accept comes after a wait: whether a connection is there is not asked before.
    func waitBeforeNext() { socket.mayReceive = false }

    /// An accept may find a connection: the last one did, or the listener was found readable.
    var mayAccept: Bool { socket.mayReceive }
    /// As long as it is not closed.
    package var descriptor: Int32 { origin.descriptor }
    /// For OS threads without a hub, as long as it is not closed.
    package var listeningSocket: ListeningSocket { origin }
    /// Others go on listening where this one stops.
    var isInherited: Bool { origin.isInherited }

    /// Accepts no more, and leaves the socket open.  For one that is shared with other processes: the kernel would go on telling of a socket
    /// that is closed in this one only.
    func retire() { isRetired = true }

    /// The next connection, if one is there.
    func acceptNow(blocking: Bool) throws(NetError) -> PendingConnection? {
        if isClosed || isRetired { throw NetError(.accept, .wait(.closed), address) }
        var storage = KernelAddress()
        let result = withUnsafeMutablePointer(to: &storage) { storage in
            SystemCalls.accept(socket.descriptor, from: storage, blocking: blocking)
        }
        socket.mayReceive = result != -Int(EAGAIN) && origin.mayConcernClient(result)
        if result >= 0 { return PendingConnection(descriptor: Int32(result), peer: SocketAddress(storage)) }
        if !socket.mayReceive { return nil }
        throw NetError(.accept, result: result, address)
    }

    /// How many connections the kernel holds that were not accepted.
    var queuedConnections: Int { SystemCalls.queuedConnections(socket.descriptor) ?? Listener.defaultBacklog }

    /// Off a hub: whether a signal has asked it to stop.
    var isAskedToStop: Bool { shouldStop() }

    var isClosed: Bool { socket.isClosed }
}

@available(*, unavailable)
extension Listener: Sendable {}
