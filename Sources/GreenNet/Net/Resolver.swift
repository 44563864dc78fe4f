import Glibc

/// A name that could not be looked up.
public struct ResolveError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name as it was asked for.
    public let host: String
    /// getaddrinfo's number, such as EAI_NONAME.
    public let code: Int32

    /// As in `cannot look up no.such.host: Name or service not known`.
    public var description: String { "cannot look up \(host.escaped): \(String(cString: gai_strerror(code)))" }
}

/// Looks up host names with the C library's resolver, which blocks: so on OS threads of its own, a few at most, which are started when
/// there is work and end when there is none.  A numeric address needs none of them.
public enum Resolver {
    static let threadLimit = 4

    /// The addresses of `host`, in the order in which they are to be tried; at least one.
    ///
    /// Throws `ResolveError` where there is none, and `WaitError` when `deadline` has passed or the green thread was killed; the answer is
    /// dropped then.
    public static func resolve(
        _ host: String, port: UInt16, until deadline: Deadline = .never
    ) throws -> [SocketAddress] {
        if let address = SocketAddress(ip: host, port: port) { return [address] }
        try check(host)
        do {
            return try pool.run(waitingFor: .lookup, until: deadline) { try addresses(of: host, port: port).get() }
        } catch is Errno {
            throw ResolveError(host: "look-up thread", code: EAI_AGAIN)
        }
    }

    /// The same on the calling OS thread, which is blocked meanwhile: for programs that must not have another one.
    package static func resolveHere(_ host: String, port: UInt16) throws(ResolveError) -> [SocketAddress] {
        if let address = SocketAddress(ip: host, port: port) { return [address] }
        try check(host)
        return try addresses(of: host, port: port).get()
    }

    /// The C library would look up what stands before a zero byte, and would take `1.2.3` for 1.2.0.3 and `0177.0.0.1` for 127.0.0.1.
    private static func check(_ host: String) throws(ResolveError) {
        if host.utf8.contains(0) || host.endsInNumber { throw ResolveError(host: host, code: EAI_NONAME) }
    }

    /// Blocks.
    private static func addresses(of host: String, port: UInt16) -> Result<[SocketAddress], ResolveError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0, let list else { return .failure(ResolveError(host: host, code: code)) }
        defer { freeaddrinfo(list) }
        let found = sequence(first: list) { $0.pointee.ai_next }.map { SocketAddress($0.pointee).with(port: port) }
        return .success(found)
    }

    private static let pool = OffloadPool(limit: threadLimit)
}

extension SocketAddress {
    fileprivate init(_ info: addrinfo) {
        var storage = Storage()
        storage.length = info.ai_addrlen
        withUnsafeMutableBytes(of: &storage.bytes) { bytes in
            bytes.copyMemory(from: UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
        }
        self.init(storage)
    }
}
