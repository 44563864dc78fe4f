import Glibc

/// Where a socket is reached: `127.0.0.1:8080`, `[::1]:8080`, or the path of a unix socket.
public enum SocketAddress: Hashable, Sendable {
    /// An IPv4 address and a port.
    case ipv4(IPv4, port: UInt16)
    /// An IPv6 address and a port.
    case ipv6(IPv6, port: UInt16)
    /// A path, an abstract name with `@` in front, or nothing for a client that has no name of its own.  Where a peer's path is not UTF-8, the
    /// bytes that are not are written as `\xff`.
    case unix(path: String)

    /// Four bytes, in the order of the network.
    public struct IPv4: Hashable, Sendable {
        let bytes: UInt32
    }

    /// Sixteen bytes, in the order of the network, and the interface that a link-local one belongs to.
    public struct IPv6: Hashable, Sendable {
        let high: UInt64
        let low: UInt64
        let scope: UInt32
    }

    /// A numeric IPv4 or IPv6 address, such as `127.0.0.1` or `fe80::1%eth0`.  Nil for anything else: names are for
    /// `Resolver`, an address with its port for `init(parsing:)`.
    public init?(ip text: String, port: UInt16) {
        // The C library would take the rest for no part of it.
        guard !text.utf8.contains(0) else { return nil }
        if let address = IPv4(text) {
            self = .ipv4(address, port: port)
        } else if let address = IPv6(text) {
            self = .ipv6(address, port: port)
        } else {
            return nil
        }
    }

    /// 127.0.0.1: only programs on this machine can connect.  With port 0, the kernel chooses one that is free.
    public static func loopback(port: UInt16) -> SocketAddress {
        .ipv4(IPv4(bytes: UInt32(0x7f00_0001).bigEndian), port: port)
    }

    /// Every address of this machine, for IPv6 and IPv4 together (`[::]`): programs on other machines can connect.
    ///
    /// The address of an IPv4 client is mapped then: `[::ffff:192.0.2.1]:4242`.  Where the kernel has no IPv6, listening there fails with EAFNOSUPPORT, and
    /// where `net.ipv6.bindv6only` is set, IPv4 clients are refused: for IPv4 alone, listen on `0.0.0.0`, `try SocketAddress(parsing: "0.0.0.0:8080")`.
    public static func any(port: UInt16) -> SocketAddress { .ipv6(IPv6(high: 0, low: 0, scope: 0), port: port) }

    /// A unix socket without a file: a name of 1 to 106 bytes in the network namespace, which is free again when the socket closes.  Written as `@name`.
    ///
    /// Any user of the machine can connect to it, or take the name first: `Connection.peerCredentials` tells who it is.
    public static func abstract(_ name: String) -> SocketAddress { .unix(path: "@\(name)") }

    /// The same address with another port; a unix address as it is.
    public func with(port: UInt16) -> SocketAddress {
        switch self {
        case .ipv4(let address, _): .ipv4(address, port: port)
        case .ipv6(let address, _): .ipv6(address, port: port)
        case .unix: self
        }
    }

    /// The bits of the address without the port; nil for a unix address.
    package var hostBits: (UInt64, UInt64)? {
        switch self {
        case .ipv4(let address, _): (0, UInt64(address.bytes))
        case .ipv6(let address, _): (address.high, address.low)
        case .unix: nil
        }
    }

    /// As an IPv6 socket has an IPv4 address: `::ffff:192.0.2.1`.  Others as they are.
    var mapped: SocketAddress {
        guard case .ipv4(let address, let port) = self else { return self }
        let low = 0xffff_0000_0000 | UInt64(UInt32(bigEndian: address.bytes))
        return .ipv6(IPv6(high: 0, low: low.bigEndian, scope: 0), port: port)
    }

    /// Whether only programs on this machine can reach it: an address of the loopback, or a unix socket.
    public var isLocal: Bool {
        switch self {
        case .ipv4(let address, _): address.isLoopback
        case .ipv6(let address, _): address.isLoopback
        case .unix: true
        }
    }

    /// Nil for a unix address.
    public var port: UInt16? {
        switch self {
        case .ipv4(_, let port), .ipv6(_, let port): port
        case .unix: nil
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// As people write it: `127.0.0.1:8080`, `[::1]:8080`, `/run/echo.sock`.  Control characters in a path are escaped.
    public var description: String {
        switch self {
        case .ipv4(let address, let port): "\(address):\(port)"
        case .ipv6(let address, let port): "[\(address)]:\(port)"
        case .unix(let path): path.isEmpty ? "unix client" : path.escaped
        }
    }
}

extension SocketAddress.IPv4: CustomStringConvertible {
    init?(_ text: String) {
        var address = in_addr()
        guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
        bytes = address.s_addr
    }

    /// 127.0.0.0/8.
    var isLoopback: Bool { withUnsafeBytes(of: bytes) { $0[0] == 127 } }

    /// Dotted, as in `127.0.0.1`.
    public var description: String {
        withUnsafeBytes(of: bytes) { bytes in bytes.map { String($0) }.joined(separator: ".") }
    }
}

extension SocketAddress.IPv6: CustomStringConvertible {
    init?(_ text: String) {
        let parts = SocketAddress.IPv6.split(text)
        var address = in6_addr()
        guard inet_pton(AF_INET6, parts.address, &address) == 1 else { return nil }
        var scope: UInt32 = 0
        if let interface = parts.interface {
            let isNumber = interface.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            scope = isNumber ? UInt32(interface) ?? 0 : if_nametoindex(interface)
            guard scope != 0 else { return nil }
        }
        self.init(address, scope: scope)
    }

    /// The texts before and behind the first `%`.
    static func split(_ text: String) -> (address: String, interface: String?) {
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (parts[0], parts.count == 2 ? parts[1] : nil)
    }

    init(_ address: in6_addr, scope: UInt32) {
        let (high, low) = withUnsafeBytes(of: address) { bytes in
            (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        self.init(high: high, low: low, scope: scope)
    }

    /// ::1, and those of IPv4 in ::ffff:0:0/96.
    var isLoopback: Bool {
        let (first, last) = (UInt64(bigEndian: high), UInt64(bigEndian: low))
        return first == 0 && (last == 1 || last >> 24 == 0xffff7f)
    }

    /// fe80::/10.
    var isLinkLocal: Bool { UInt64(bigEndian: high) >> 54 == 0xfe80 >> 6 }

    var raw: in6_addr {
        var address = in6_addr()
        withUnsafeMutableBytes(of: &address) { bytes in
            bytes.storeBytes(of: high, as: UInt64.self)
            bytes.storeBytes(of: low, toByteOffset: 8, as: UInt64.self)
        }
        return address
    }

    /// In the usual short form, as in `fe80::1%2`.
    public var description: String {
        var address = raw
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
            String(cString: inet_ntop(AF_INET6, &address, buffer.baseAddress!, socklen_t(buffer.count)))
        }
        return scope == 0 ? text : "\(text)%\(scope)"
    }
}

// MARK: - As the kernel has it

extension SocketAddress {
    var family: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// The longest path that fits into a unix socket's address, in bytes.
    public static let longestUnixPath = 107

    /// Nil for a unix path that is too long.
    var storage: KernelAddress? {
        var storage = KernelAddress()
        switch self {
        case .ipv4(let address, let port):
            storage.fill(
                with: sockaddr_in(
                    sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
                    sin_addr: in_addr(s_addr: address.bytes), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0)))
        case .ipv6(let address, let port):
            storage.fill(
                with: sockaddr_in6(
                    sin6_family: sa_family_t(AF_INET6), sin6_port: port.bigEndian, sin6_flowinfo: 0,
                    sin6_addr: address.raw, sin6_scope_id: address.scope))
        case .unix(let path):
            guard storage.fill(withUnixPath: path) else { return nil }
        }
        return storage
    }

    init(_ storage: KernelAddress) {
        switch Int32(storage.bytes.ss_family) {
        case AF_INET:
            let address = storage.read(as: sockaddr_in.self)
            self = .ipv4(IPv4(bytes: address.sin_addr.s_addr), port: UInt16(bigEndian: address.sin_port))
        case AF_INET6:
            let address = storage.read(as: sockaddr_in6.self)
            let ip = IPv6(address.sin6_addr, scope: address.sin6_scope_id)
            self = .ipv6(ip, port: UInt16(bigEndian: address.sin6_port))
        default:
            self = .unix(path: storage.unixPath)
        }
    }
}

extension KernelAddress {
    private static var pathOffset: Int { MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! }

    fileprivate mutating func fill<T>(with address: T) {
        withUnsafeMutableBytes(of: &bytes) { $0.storeBytes(of: address, as: T.self) }
        length = socklen_t(MemoryLayout<T>.size)
    }

    fileprivate func read<T>(as type: T.Type) -> T { withUnsafeBytes(of: bytes) { $0.load(as: type) } }

    /// An abstract name has a zero byte where we write `@`, and no zero byte at its end.
    fileprivate mutating func fill(withUnixPath path: String) -> Bool {
        var name = Array(path.utf8)
        guard name.count <= SocketAddress.longestUnixPath, !name.contains(0) else { return false }
        let isAbstract = name.first == UInt8(ascii: "@")
        if isAbstract { name[0] = 0 }
        bytes.ss_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &bytes) { $0[Self.pathOffset...].copyBytes(from: name) }
        length = socklen_t(Self.pathOffset + name.count + (isAbstract ? 0 : 1))
        return true
    }

    fileprivate var unixPath: String {
        withUnsafeBytes(of: bytes) { bytes in
            let name = bytes[min(Self.pathOffset, Int(length))..<min(Int(length), bytes.count)]
            // One that is not UTF-8 has no value that leads to it again, but it is shown without loss.
            guard name.first == 0 else { return String(showing: name.prefix { $0 != 0 }) }
            return name.count > 1 ? "@" + String(showing: name.dropFirst()) : ""
        }
    }
}
