import GreenNet

/// Where the admin interface is to listen: `127.0.0.1:9090`, `[::1]:9090`, `localhost:9090`, or the path of a unix socket.
enum AdminAddress: Hashable, Sendable {
    case tcp(host: String, port: UInt16)
    case unix(path: String)

    /// Nil for anything else.
    init?(_ text: String) {
        if text.hasPrefix("/") || text.hasPrefix("@") {
            guard (2...SocketAddress.longestUnixPath).contains(text.utf8.count) else { return nil }
            self = .unix(path: text)
        } else {
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
                return nil
            }
            guard let host = AdminAddress.host(text[..<colon]) else { return nil }
            self = .tcp(host: host, port: port)
        }
    }

    /// An IPv6 address stands in brackets, or its last group would be taken for the port.
    private static func host(_ text: Substring) -> String? {
        let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
        let host = isBracketed ? text.dropFirst().dropLast() : text
        return host.isEmpty || host.contains(":") != isBracketed ? nil : String(host)
    }

    /// Looks a name up, on this OS thread.
    func resolved() throws(StartFailure) -> SocketAddress {
        switch self {
        case .unix(let path): return .unix(path: path)
        case .tcp(let host, let port):
            do {
                return try Resolver.resolveHere(host, port: port)[0]
            } catch {
                throw StartFailure(.configuration, "admin: \(error)")
            }
        }
    }
}

extension AdminAddress: CustomStringConvertible {
    var description: String {
        switch self {
        case .unix(let path): path
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
