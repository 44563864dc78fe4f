/// The target in the first line of a request: a path (`/metrics?x=y`), or a whole URI, as clients send it to proxies (`http://host/metrics`).
enum HTTPTarget {
    private typealias Bytes = ArraySlice<UInt8>

    /// Without the query, and with `%6d` and the like read as the letter, digit, `-`, `.`, `_` or `~` that it encodes.
    static func path(of target: ArraySlice<UInt8>) throws(HTTPFailure) -> String {
        guard !target.contains(where: { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "#") }) else {
            throw .badRequest
        }
        let rest = target.first == UInt8(ascii: "/") ? target : try behindAuthority(of: target)
        let path = try decoded(rest.prefix { $0 != UInt8(ascii: "?") })
        guard let text = String(validating: path, as: UTF8.self) else { throw .badRequest }
        return text.isEmpty ? "/" : text
    }

    /// Any host in a whole URI is accepted: the server has one.
    private static func behindAuthority(of uri: Bytes) throws(HTTPFailure) -> Bytes {
        let scheme = uri.prefix { $0 != UInt8(ascii: ":") }
        let rest = uri[scheme.endIndex...]
        guard ["http", "https"].contains(String(decoding: scheme, as: UTF8.self).lowercased()),
            rest.starts(with: "://".utf8)
        else { throw .badRequest }
        let authority = rest.dropFirst(3).prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard isAuthority(authority) else { throw .badRequest }
        return uri[authority.endIndex...]
    }

    /// Whether `text` is a name or an address, in brackets where it has colons, perhaps with a port (RFC 3986, 3.2).
    static func isAuthority(_ text: ArraySlice<UInt8>) -> Bool {
        var host = text.prefix(text.count - text.reversed().prefix { ("0"..."9").contains(Unicode.Scalar($0)) }.count)
        if host.last == UInt8(ascii: ":") { host = host.dropLast() } else { host = text }
        if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]"), host.count > 2 {
            return host.dropFirst().dropLast().allSatisfy { isInName($0) || $0 == UInt8(ascii: ":") }
        }
        return !host.isEmpty && host.allSatisfy(isInName)
    }

    private static func isInName(_ byte: UInt8) -> Bool { isUnreserved(byte) || "!$&'()*+,;=%".utf8.contains(byte) }

    /// These mean the same with or without percent (RFC 3986, 2.3).
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~".utf8.contains(byte)
        }
    }

    private static func decoded(_ path: Bytes) throws(HTTPFailure) -> [UInt8] {
        var result: [UInt8] = []
        var rest = path
        while let byte = rest.popFirst() {
            result.append(byte)
            guard byte == UInt8(ascii: "%") else { continue }
            let digits = rest.prefix(2)
            let text = String(decoding: digits, as: UTF8.self)
            guard digits.count == 2, text.allSatisfy(\.isHexDigit), let value = UInt8(text, radix: 16) else {
                throw .badRequest
            }
            guard isUnreserved(value) else { continue }
            result[result.count - 1] = value
            rest = rest.dropFirst(2)
        }
        return result
    }
}
