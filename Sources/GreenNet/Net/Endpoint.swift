import Glibc

/// Where to listen or to connect, as people write it, with a name in it that is yet to be looked up: `127.0.0.1:80`, `[::1]:80`,
/// `[fe80::1%eth0]:80`, `localhost:80`, `/run/x`, `unix:/run/x`, `@abstract`.
package enum Endpoint: Hashable, Sendable {
    /// A name or an address; an IPv6 address is without brackets.
    case host(String, port: UInt16)
    /// A path, or an abstract name with `@` in front.
    case unix(path: String)

    /// With `defaultPort`, the port may be left out.
    package init(parsing text: String, defaultPort: UInt16? = nil) throws(AddressError) {
        if Endpoint.isUnix(text) {
            self = .unix(path: try Endpoint.unixPath(parsing: text))
            return
        }
        let parts = try Endpoint.split(text)
        let host = try Endpoint.checked(host: parts.host, in: text)
        if let portText = parts.port {
            guard let port = Endpoint.port(portText) else { throw AddressError(text, .badPort) }
            self = .host(host, port: port)
        } else if let defaultPort {
            self = .host(host, port: defaultPort)
        } else {
            let mayEndWithPort = host.contains(":") && !text.hasPrefix("[")
            throw AddressError(text, mayEndWithPort ? .badBrackets : .missingPort)
        }
    }

    /// A host alone: `127.0.0.1`, `::1` or `[::1]`, `fe80::1%eth0`, or a name.  Returned without brackets.
    package static func host(parsing text: String) throws(AddressError) -> String {
        if isUnix(text) { throw AddressError(text, .path) }
        let parts = try split(text)
        let host = try checked(host: parts.host, in: text)
        if parts.port != nil { throw AddressError(text, .unexpectedPort) }
        return host
    }

    /// A path alone, which may be relative: `/run/x`, `unix:/run/x`, `@abstract`.
    package static func unixPath(parsing text: String) throws(AddressError) -> String {
        let path = text.hasPrefix(unixPrefix) ? String(text.dropFirst(unixPrefix.count)) : text
        let fits = (1...SocketAddress.longestUnixPath).contains(path.utf8.count) && !path.utf8.contains(0)
        guard fits, path != "@", path != "/" else { throw AddressError(text, .badPath) }
        return path
    }

    private static let unixPrefix = "unix:"

    private static func isUnix(_ text: String) -> Bool {
        text.hasPrefix("/") || text.hasPrefix("@") || text.hasPrefix(unixPrefix)
    }

    /// The host without brackets, and the text behind the colon that follows it; an IPv6 address without brackets has no port.
    private static func split(_ text: String) throws(AddressError) -> (host: String, port: Substring?) {
        if text.hasPrefix("[") {
            guard let end = text.lastIndex(of: "]") else { throw AddressError(text, .badBrackets) }
            let host = text[..<end].dropFirst()
            let rest = text[end...].dropFirst()
            guard rest.isEmpty || rest.hasPrefix(":"), host.isEmpty || host.contains(":") else {
                throw AddressError(text, .badBrackets)
            }
            return (String(host), rest.isEmpty ? nil : rest.dropFirst())
        }
        let colons = text.filter { $0 == ":" }.count
        guard colons == 1, let colon = text.firstIndex(of: ":") else { return (text, nil) }
        return (String(text[..<colon]), text[colon...].dropFirst())
    }

    /// Digits alone: a number may have a sign, and a port has none.
    private static func port(_ text: Substring) -> UInt16? { text.utf8.allSatisfy(\.isDigit) ? UInt16(text) : nil }

    // MARK: The host

    /// Whether a name exists, and an interface, is not looked at.
    private static func checked(host: String, in text: String) throws(AddressError) -> String {
        if let reason = reasonAgainst(host) { throw AddressError(text, reason) }
        return host
    }

    private static func reasonAgainst(_ host: String) -> AddressError.Reason? {
        if host.isEmpty { return .missingHost }
        if host.contains(":") { return reasonAgainst(ipv6: host) }
        if host.endsInNumber { return SocketAddress(ip: host, port: 0) == nil ? .badIPv4 : nil }
        return host.utf8.contains { $0 <= 0x20 || $0 == 0x7f || "/@[]%".utf8.contains($0) } ? .badName : nil
    }

    private static func reasonAgainst(ipv6 host: String) -> AddressError.Reason? {
        let (address, interface) = SocketAddress.IPv6.split(host)
        guard case .ipv6(let ip, _)? = SocketAddress(ip: address, port: 0) else { return .badIPv6 }
        // The kernel would say EINVAL.
        guard let interface else { return ip.isLinkLocal ? .missingInterface : nil }
        if interface.utf8.allSatisfy(\.isDigit) { return (UInt32(interface) ?? 0) == 0 ? .badInterface : nil }
        let isName = interface.utf8.count < Int(IF_NAMESIZE) && !interface.contains { $0 == "/" || $0.isWhitespace }
        return isName && !interface.utf8.contains(0) ? nil : .badInterface
    }

    /// The interface that a host names with `%` and the machine does not have: it may come later.
    package static func missingInterface(in host: String) -> String? {
        guard host.contains(":"), let interface = SocketAddress.IPv6.split(host).interface else { return nil }
        return SocketAddress(ip: host, port: 0) == nil ? interface : nil
    }
}

extension Endpoint: CustomStringConvertible {
    /// As it can be read again, but for control characters, which are escaped.
    package var description: String {
        switch self {
        case .host(let host, let port): (host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)").escaped
        case .unix(let path):
            (path.hasPrefix("/") || path.hasPrefix("@") ? path : Endpoint.unixPrefix + path).escaped
        }
    }
}

extension SocketAddress {
    /// An address as people write it: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`, or a unix socket, `/run/x`, `unix:/run/x` or
    /// `@abstract`.
    ///
    /// Throws `AddressError`, which says what is wrong: for a name too, which is for `Resolver`; for an interface that is not there;
    /// and for a link-local address without one, which no socket could use.
    public init(parsing text: String) throws(AddressError) {
        switch try Endpoint(parsing: text) {
        case .unix(let path): self = .unix(path: path)
        case .host(let host, let port):
            if let address = SocketAddress(ip: host, port: port) {
                self = address
            } else {
                throw AddressError(text, Endpoint.missingInterface(in: host).map { .noInterface($0) } ?? .name)
            }
        }
    }
}

extension String {
    /// Whether the last label is a number, decimal or hexadecimal.  No name of a host ends so; the C library would take `1.2.3` for 1.2.0.3
    /// and `0177.0.0.1` for 127.0.0.1.
    var endsInNumber: Bool {
        let labels = split(separator: ".", omittingEmptySubsequences: false)
        guard let last = last == "." ? labels.dropLast().last : labels.last, !last.isEmpty else { return false }
        if last.utf8.allSatisfy(\.isDigit) { return true }
        return last.lowercased().hasPrefix("0x") && last.dropFirst(2).allSatisfy { $0.isASCII && $0.isHexDigit }
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
}
