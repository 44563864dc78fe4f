import Glibc

/// What a start would find at an address.
package enum ListeningProbe {
    /// It could listen there.
    case free
    /// A server is there: perhaps the very service that is asked about.
    case inUse

    /// Binds and closes again, and never listens, so that no client connects.  The path of a unix socket is looked at, and neither made nor
    /// removed.  Throws what a start would, but EADDRINUSE.
    package init(_ address: SocketAddress, freebind: Bool = false) throws(NetError) {
        if let path = address.filePath {
            self = try ListeningProbe.look(at: path, address)
            return
        }
        do throws(NetError) {
            SystemCalls.close(
                try ListeningSocket.bound(
                    to: address, sharesPort: false, freebind: freebind, permissions: UnixPermissions()))
            self = .free
        } catch {
            guard error.errno?.code == EADDRINUSE else { throw error }
            self = .inUse
        }
    }

    /// The same for a UDP socket.
    package init(datagrams address: SocketAddress) throws(NetError) {
        do throws(NetError) {
            SystemCalls.close(try ListeningProbe.boundDatagramSocket(address))
            self = .free
        } catch {
            guard error.errno?.code == EADDRINUSE else { throw error }
            self = .inUse
        }
    }

    private static func boundDatagramSocket(_ address: SocketAddress) throws(NetError) -> Int32 {
        guard var storage = address.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), address) }
        let descriptor = SystemCalls.datagramSocket(family: address.family)
        if descriptor < 0 { throw NetError(.socket, result: descriptor, address) }
        let result = SystemCalls.bind(Int32(descriptor), to: &storage)
        if result >= 0 { return Int32(descriptor) }
        SystemCalls.close(Int32(descriptor))
        throw NetError(.bind, result: result, address)
    }

    private static func look(at path: String, _ address: SocketAddress) throws(NetError) -> ListeningProbe {
        guard var storage = address.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), address) }
        try ListeningSocket.checkIsSocket(path, address)
        if SystemCalls.kind(ofFileAt: path) == S_IFSOCK, !ListeningSocket.isStale(&storage) { return .inUse }
        try checkDirectory(of: path, address)
        return .free
    }

    private static func checkDirectory(of path: String, _ address: SocketAddress) throws(NetError) {
        let result = SystemCalls.mayMakeFiles(in: directory(of: path))
        if result < 0 { throw NetError(.bind, result: result, address) }
    }

    /// Throws where no socket can ever be at the path of `address`.  Connects to none.
    package static func checkPath(_ address: SocketAddress) throws(NetError) {
        guard let path = address.filePath else { return }
        try ListeningSocket.checkIsSocket(path, address)
        if SystemCalls.kind(ofFileAt: path) != S_IFSOCK { try checkDirectory(of: path, address) }
    }

    private static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    }
}

extension SocketAddress {
    /// Whether a server that listens on one of the two addresses keeps others from listening on the other address.
    package func overlaps(_ other: SocketAddress) -> Bool {
        switch (self, other) {
        case (.unix(let path), .unix(let otherPath)): path == otherPath
        case (.unix, _), (_, .unix): false
        default: port == other.port && port != 0 && overlapsHost(of: other)
        }
    }

    private func overlapsHost(of other: SocketAddress) -> Bool {
        switch (self, other) {
        case (.ipv4, .ipv4), (.ipv6, .ipv6): with(port: 0) == other.with(port: 0) || isWildcard || other.isWildcard
        // `::` is all IPv4 addresses too.
        case (.ipv6, _): isWildcard
        default: other.isWildcard
        }
    }

    private var isWildcard: Bool { hostBits.map { $0 == (0, 0) } ?? false }
}
