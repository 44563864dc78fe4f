import Glibc

/// A listening stream socket.  It owns its descriptor, and the path of a unix socket, which it removes when it closes.
/// Belongs to the OS thread that made it.
public final class Listener {
    /// Where it listens; with port 0, the port that the kernel chose.
    public let address: SocketAddress
    let socket: Socket
    private let ownsPath: Bool

    /// Longer queues are cut by the kernel at net.core.somaxconn.
    public static let defaultBacklog = 4096

    /// Binds and listens.  The path of a unix socket at which nobody answers any more is taken over.
    public init(on wanted: SocketAddress, backlog: Int = Listener.defaultBacklog) throws(NetError) {
        let descriptor = try Listener.open(wanted, backlog: backlog)
        socket = .make(descriptor, priority: -1)
        var storage = SocketAddress.Storage()
        let result = SystemCalls.localAddress(descriptor, into: &storage)
        address = result < 0 ? wanted : SocketAddress(storage)
        ownsPath = wanted.isPath
    }

    deinit {
        close()
        socket.free()
    }

    /// Stops listening.  Connections that nobody has accepted are reset by the kernel.  Never waits.
    public func close() {
        if !socket.pointee.isClosed, ownsPath, case .unix(let path) = address { _ = SystemCalls.unlink(path) }
        socket.close()
    }

    /// Waits for the next connection.  Throws when `deadline` has passed, when killed, and where the kernel says so: what to do about
    /// the latter is sorted by `AcceptFailure`.
    public func accept(until deadline: Deadline = .never) throws(NetError) -> Connection {
        let thread = Hub.currentThread
        while true {
            if let connection = try acceptNow() { return connection }
            if let error = socket.waitUntilReadable(thread, until: deadline) {
                throw NetError(.accept, .wait(error), address)
            }
        }
    }

    /// The next connection, if one is there.
    func acceptNow() throws(NetError) -> Connection? {
        if socket.pointee.isClosed { throw NetError(.accept, .wait(.closed), address) }
        var storage = SocketAddress.Storage()
        let result = withUnsafeMutablePointer(to: &storage) { SystemCalls.accept(socket.pointee.descriptor, from: $0) }
        if result >= 0 { return Connection(descriptor: Int32(result), peer: SocketAddress(storage)) }
        if result == -Int(EAGAIN) { return nil }
        throw NetError(.accept, result: result, address)
    }

    // MARK: Opening

    private static func open(_ address: SocketAddress, backlog: Int) throws(NetError) -> Int32 {
        guard var storage = address.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), address) }
        let result = SystemCalls.socket(family: address.family)
        guard result >= 0 else { throw NetError(.socket, result: result, address) }
        let descriptor = Int32(result)
        do throws(NetError) {
            try setOptions(descriptor, address)
            try bind(descriptor, address, &storage)
            try check(.listen, SystemCalls.listen(descriptor, backlog: Int32(clamping: backlog)), address)
        } catch {
            SystemCalls.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Accepted sockets inherit them, which saves a system call for each.
    private static func setOptions(_ descriptor: Int32, _ address: SocketAddress) throws(NetError) {
        if case .unix = address { return }
        try check(.setsockopt, SystemCalls.setOption(descriptor, level: SOL_SOCKET, SO_REUSEADDR, to: 1), address)
        // An answer is sent when it is ready, not when the one before was acknowledged.
        try check(
            .setsockopt, SystemCalls.setOption(descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY, to: 1), address)
    }

    private static func bind(
        _ descriptor: Int32, _ address: SocketAddress, _ storage: inout SocketAddress.Storage
    ) throws(NetError) {
        var result = SystemCalls.bind(descriptor, to: &storage)
        if result == -Int(EADDRINUSE), case .unix(let path) = address, isStale(&storage) {
            try check(.unlink, SystemCalls.unlink(path), address)
            result = SystemCalls.bind(descriptor, to: &storage)
        }
        try check(.bind, result, address)
    }

    /// A path left behind by a server that is gone.
    private static func isStale(_ storage: inout SocketAddress.Storage) -> Bool {
        let probe = SystemCalls.socket(family: AF_UNIX)
        guard probe >= 0 else { return false }
        defer { SystemCalls.close(Int32(probe)) }
        return SystemCalls.connect(Int32(probe), to: &storage) == -Int(ECONNREFUSED)
    }

    private static func check(_ call: NetError.Call, _ result: Int, _ address: SocketAddress) throws(NetError) {
        if result < 0 { throw NetError(call, result: result, address) }
    }
}

@available(*, unavailable)
extension Listener: Sendable {}

extension SocketAddress {
    /// A unix socket with a name in the file system.
    fileprivate var isPath: Bool {
        if case .unix(let path) = self { !path.isEmpty && !path.hasPrefix("@") } else { false }
    }
}
