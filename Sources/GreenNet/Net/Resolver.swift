import Glibc

/// A name that could not be looked up.
public struct ResolveError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name as it was asked for.
    public let host: String
    /// getaddrinfo's number, such as EAI_NONAME.
    public let code: Int32
    /// What else there is to say.
    let detail: String?

    init(host: String, code: Int32, detail: String? = nil) {
        (self.host, self.code, self.detail) = (host, code, detail)
    }

    /// As in `cannot look up no.such.host: Name or service not known`.
    public var description: String {
        "cannot look up \(host.escaped): \(String(cString: gai_strerror(code)))" + (detail.map { ": \($0)" } ?? "")
    }
}

/// Looks up host names with the C library's resolver, which blocks: so on other OS threads.  A numeric address needs none of them.
///
/// Four look-ups run at a time; others wait their turn, first come, first served.  The C library has no way to stop a look-up: one whose caller was
/// killed, or whose deadline has passed, goes on, but the next one has its place.  With those, there are 32 OS threads at most; while all of
/// them hang in look-ups that were given up, `resolve` throws at once.
public enum Resolver {
    /// Look-ups whose callers still wait.
    static let placeLimit = 4
    /// Those and the ones that were given up.
    static let threadLimit = 32

    /// The addresses of `host`, the one that the system prefers first; at least one.  They may be of a family that this machine has no way to.
    ///
    /// A numeric address is not looked up, nor is `localhost` or a name that ends in `.localhost`, whose addresses are 127.0.0.1 and ::1.
    ///
    /// Throws `ResolveError` where there is none, and `WaitError` when `deadline` has passed or the green thread was killed; the answer is
    /// dropped then.  On a hub with a virtual clock, it blocks, and takes no time.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public static func resolve(
        _ host: String, port: UInt16, until deadline: Deadline = .never
    ) throws -> [SocketAddress] {
        if let known = try known(host, port: port) { return known }
        if ThreadClock.virtualTime != 0 { return try addresses(of: host, port: port).get() }
        if pool.hangs {
            throw ResolveError(
                host: host, code: EAI_AGAIN, detail: "\(threadLimit) look-ups that were given up still hang")
        }
        do {
            return try pool.run(waitingFor: .lookup, until: deadline) { try addresses(of: host, port: port).get() }
        } catch let error as SystemError {
            throw ResolveError(host: host, code: EAI_AGAIN, detail: "no OS thread for the look-up: \(error)")
        }
    }

    /// The same on the calling OS thread, which is blocked meanwhile: for programs that must not have another one.
    package static func resolveHere(_ host: String, port: UInt16) throws(ResolveError) -> [SocketAddress] {
        if let known = try known(host, port: port) { return known }
        return try addresses(of: host, port: port).get()
    }

    /// What needs no look-up; nil for other names.
    private static func known(_ host: String, port: UInt16) throws(ResolveError) -> [SocketAddress]? {
        if let address = SocketAddress(ip: host, port: port) { return [address] }
        // The C library would look up the text before a zero byte, and would take `1.2.3` for 1.2.0.3 and `0177.0.0.1` for 127.0.0.1.
        if host.utf8.contains(0) || host.endsInNumber { throw ResolveError(host: host, code: EAI_NONAME) }
        return isLoopbackName(host.lowercased()) ? loopbacks(port) : nil
    }

    /// Such names are this machine's, and no name server is to be asked for them (RFC 6761).
    static func isLoopbackName(_ name: String) -> Bool {
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        return (labels.last == "" ? labels.dropLast() : labels[...]).last == "localhost"
    }

    private static func loopbacks(_ port: UInt16) -> [SocketAddress] {
        ["127.0.0.1", "::1"].map { SocketAddress(ip: $0, port: port)! }
    }

    /// Blocks.
    ///
    /// Without `AI_ADDRCONFIG`: that leaves out a family of which the machine has no address, and takes no notice of its loopback, so that a name of the
    /// loopback would be unknown, or have the wrong one of two addresses.  The C library puts those last to which there is no way.
    private static func addresses(of host: String, port: UInt16) -> Result<[SocketAddress], ResolveError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0, let list else {
            let detail = code == EAI_SYSTEM ? "\(SystemError(errno))" : nil
            return .failure(ResolveError(host: host, code: code, detail: detail))
        }
        defer { freeaddrinfo(list) }
        let found = sequence(first: list) { $0.pointee.ai_next }.map { SocketAddress($0.pointee).with(port: port) }
        return .success(found)
    }

    private static let pool = OffloadPool(limit: placeLimit, givenUpLimit: threadLimit - placeLimit)
}

extension SocketAddress {
    fileprivate init(_ info: addrinfo) {
        var storage = KernelAddress()
        storage.length = info.ai_addrlen
        withUnsafeMutableBytes(of: &storage.bytes) { bytes in
            bytes.copyMemory(from: UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
        }
        self.init(storage)
    }
}
