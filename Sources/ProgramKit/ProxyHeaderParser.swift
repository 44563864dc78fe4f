import GreenNet

/// Reads a header of the PROXY protocol from bytes as they come.
///
/// It says how many bytes more it needs at the least.  A caller that reads no more than that never takes a byte from behind the header: what follows is left in
/// the socket, for TLS or whatever reads it.
package struct ProxyHeaderParser {
    /// What has come so far.
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package enum Step: Equatable, Sendable {
        /// That many bytes more belong to the header, at the least.
        case needs(Int)
        case done(ProxyHeader)
        /// What has come is the beginning of no header.
        case absent
    }

    /// Adds bytes: no more than were needed.  Throws where a header is wrong; the connection is of no more use then.
    package mutating func add(_ more: some Collection<UInt8>) throws(ProxyHeaderError) -> Step {
        bytes += more
        return try step()
    }

    /// Whether what has come may still be a client's own bytes: less than what every header begins with.
    package var mayBeData: Bool { bytes.count < (bytes.first == 0x0d ? Self.signature.count : Self.word.count) }

    /// What a header of version 2 begins with.
    package static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
    /// What a header of version 1 begins with.
    package static let word = Array("PROXY ".utf8)
    /// The shortest header: `PROXY UNKNOWN` and the end of the line.
    package static let shortest = 15

    package func step() throws(ProxyHeaderError) -> Step {
        if bytes.isEmpty { return .needs(Self.shortest) }
        if bytes.prefix(Self.word.count).elementsEqual(Self.word.prefix(bytes.count)) { return try stepOfLine() }
        let hasSignature = bytes.prefix(Self.signature.count).elementsEqual(Self.signature.prefix(bytes.count))
        return hasSignature ? try stepOfBinary() : .absent
    }

    // MARK: - Version 1

    /// The longest line, with its end: the longest IPv6 addresses fit.
    package static let longestLine = 107

    private func stepOfLine() throws(ProxyHeaderError) -> Step {
        guard bytes.count >= Self.shortest else { return .needs(Self.shortest - bytes.count) }
        if bytes.suffix(2).elementsEqual([0x0d, 0x0a]) { return .done(try line()) }
        if bytes.count >= Self.longestLine {
            throw ProxyHeaderError(.tooLong, "a line of more than \(Self.longestLine) bytes")
        }
        // Behind a carriage return, one byte may be the last.
        return .needs(bytes.last == 0x0d ? 1 : min(2, Self.longestLine - bytes.count))
    }

    private func line() throws(ProxyHeaderError) -> ProxyHeader {
        let text = bytes.dropLast(2)
        let words = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map {
            String(showing: $0)
        }
        switch words[1] {
        case "UNKNOWN": return ProxyHeader(.v1, nil)
        case "TCP4", "TCP6": break
        default: throw malformed("'\(words[1].escaped)' is not TCP4, TCP6 or UNKNOWN")
        }
        guard words.count == 6 else {
            throw malformed("\(words.count) words, where a line of \(words[1]) has 6")
        }
        let (addresses, ports) = (words[2...3], words[4...5])
        let ends = try zip(addresses, ports).map { address, port throws(ProxyHeaderError) in
            try end(address, port, isIPv6: words[1] == "TCP6")
        }
        return ProxyHeader(.v1, .init(source: ends[0], destination: ends[1]))
    }

    private func end(_ address: String, _ port: String, isIPv6: Bool) throws(ProxyHeaderError) -> SocketAddress {
        guard let number = portNumber(port) else {
            throw malformed("the port '\(port.escaped)' is not a whole number from 0 to 65535")
        }
        let parsed = address.contains("%") ? nil : SocketAddress(ip: address, port: number)
        switch parsed {
        case .ipv4 where !isIPv6, .ipv6 where isIPv6: return parsed!
        default: throw malformed("'\(address.escaped)' is not an \(isIPv6 ? "IPv6" : "IPv4") address")
        }
    }

    /// Without a sign, and without a zero in front.
    private func portNumber(_ text: String) -> UInt16? {
        guard let number = UInt16(text), "\(number)" == text else { return nil }
        return number
    }

    private func malformed(_ words: String) -> ProxyHeaderError { ProxyHeaderError(.malformed, words) }

    // MARK: - Version 2

    /// Signature, version and command, family and protocol, length.
    private static let fixedPart = 16
    /// The longest rest that is taken.  A header may have 65535 bytes, and none that is known needs more than a few hundred.
    package static let longestRest = 4096

    private func stepOfBinary() throws(ProxyHeaderError) -> Step {
        guard bytes.count >= Self.fixedPart else {
            // The first read is for a shorter line of text.
            return .needs((bytes.count < Self.shortest ? Self.shortest : Self.fixedPart) - bytes.count)
        }
        let rest = number(at: 14, 2)
        guard rest <= Self.longestRest else {
            throw ProxyHeaderError(
                .tooLong, "\(rest) bytes behind the first \(Self.fixedPart); \(Self.longestRest) are taken")
        }
        let missing = Self.fixedPart + rest - bytes.count
        return missing > 0 ? .needs(missing) : .done(try binary())
    }

    private func number(at place: Int, _ count: Int) -> Int {
        bytes[place..<place + count].reduce(0) { $0 << 8 | Int($1) }
    }

    private func binary() throws(ProxyHeaderError) -> ProxyHeader {
        let (version, command) = (bytes[12] >> 4, bytes[12] & 0xf)
        guard version == 2 else { throw malformed("the version \(version), where 2 is expected") }
        switch command {
        case 0: return ProxyHeader(.v2, nil, isLocal: true)
        case 1: return try proxied(family: bytes[13] >> 4, transport: bytes[13] & 0xf)
        default: throw malformed("the command \(command), where 0 (LOCAL) and 1 (PROXY) are known")
        }
    }

    private func proxied(family: UInt8, transport: UInt8) throws(ProxyHeaderError) -> ProxyHeader {
        guard family <= 3, transport <= 2 else {
            throw malformed("the family \(family) and the protocol \(transport), where 0 to 3 and 0 to 2 are known")
        }
        guard family != 0, transport != 0 else { return ProxyHeader(.v2, nil) }
        let addressBytes = [0, 12, 36, 216][Int(family)]
        guard bytes.count >= Self.fixedPart + addressBytes else {
            throw malformed("\(bytes.count - Self.fixedPart) bytes, where the addresses alone have \(addressBytes)")
        }
        let extensions = try ProxyExtensionsParser(bytes, from: Self.fixedPart + addressBytes).read()
        // A datagram's ends are not those of a stream.
        return ProxyHeader(.v2, transport == 1 ? ends(family) : nil, extensions: extensions)
    }

    private func ends(_ family: UInt8) -> ProxyHeader.Ends {
        if family == 3 { return .init(source: path(at: Self.fixedPart), destination: path(at: Self.fixedPart + 108)) }
        let size = family == 1 ? 4 : 16
        let ports = Self.fixedPart + 2 * size
        return .init(
            source: address(at: Self.fixedPart, size, portAt: ports),
            destination: address(at: Self.fixedPart + size, size, portAt: ports + 2))
    }

    private func address(at place: Int, _ size: Int, portAt port: Int) -> SocketAddress {
        SocketAddress(networkBytes: bytes[place..<place + size], port: UInt16(number(at: port, 2)))!
    }

    /// An abstract name has a zero byte where we write `@`.
    private func path(at place: Int) -> SocketAddress {
        let name = bytes[place..<place + 108]
        let isAbstract = name.first == 0 && name.dropFirst().first != 0
        let text = String(showing: (isAbstract ? name.dropFirst() : name).prefix { $0 != 0 })
        return .unix(path: isAbstract ? "@" + text : text)
    }
}

/// Reads the extensions of a header of version 2: a type, a length and a value each.
private struct ProxyExtensionsParser {
    private let bytes: [UInt8]
    private let start: Int

    init(_ bytes: [UInt8], from start: Int) { (self.bytes, self.start) = (bytes, start) }

    private enum Kind {
        static let (alpn, authority, checksum, uniqueID, tls, namespace) = (0x01, 0x02, 0x03, 0x05, 0x20, 0x30)
        static let (tlsVersion, commonName, cipher) = (0x21, 0x22, 0x23)
    }

    func read() throws(ProxyHeaderError) -> ProxyHeader.Extensions {
        var extensions = ProxyHeader.Extensions()
        for (kind, value) in try fields(of: bytes[start...]) {
            switch kind {
            case Kind.alpn: extensions.alpn = String(showing: value)
            case Kind.authority: extensions.authority = String(showing: value)
            case Kind.namespace: extensions.namespace = String(showing: value)
            case Kind.tls: extensions.tls = try tls(value)
            case Kind.uniqueID: extensions.uniqueID = try uniqueID(value)
            case Kind.checksum:
                try check(value)
                extensions.isChecked = true
            default: break  // a type of later days
            }
        }
        return extensions
    }

    private func fields(of text: ArraySlice<UInt8>) throws(ProxyHeaderError) -> [(kind: Int, value: ArraySlice<UInt8>)]
    {
        var (rest, fields) = (text, [(kind: Int, value: ArraySlice<UInt8>)]())
        while let kind = rest.first {
            let length = rest.dropFirst().prefix(2).reduce(0) { $0 << 8 | Int($1) }
            guard rest.count >= 3 + length else {
                throw ProxyHeaderError(
                    .malformed,
                    "an extension of the type \(kind) that ends \(3 + length - rest.count) bytes behind the header")
            }
            fields.append((Int(kind), rest.dropFirst(3).prefix(length)))
            rest = rest.dropFirst(3 + length)
        }
        return fields
    }

    private func uniqueID(_ value: ArraySlice<UInt8>) throws(ProxyHeaderError) -> [UInt8] {
        guard value.count <= 128 else {
            throw ProxyHeaderError(.malformed, "a unique id of \(value.count) bytes, where 128 are the most")
        }
        return Array(value)
    }

    /// The sum is over the whole header, with zeros in its own place.
    private func check(_ value: ArraySlice<UInt8>) throws(ProxyHeaderError) {
        guard value.count == 4 else {
            throw ProxyHeaderError(.malformed, "a checksum of \(value.count) bytes, where 4 are expected")
        }
        var cleared = bytes
        for place in value.indices { cleared[place] = 0 }
        let (said, sum) = (value.reduce(0) { $0 << 8 | UInt32($1) }, CRC32C.checksum(cleared))
        guard said == sum else {
            throw ProxyHeaderError(
                .checksum, "the checksum \(String(said, radix: 16)), where the bytes have \(String(sum, radix: 16))")
        }
    }

    /// A byte of flags, four bytes that are 0 where the client's certificate was verified, and fields of its own.
    private func tls(_ value: ArraySlice<UInt8>) throws(ProxyHeaderError) -> ProxyHeader.TLSFacts? {
        guard value.count >= 5, let flags = value.first else {
            throw ProxyHeaderError(.malformed, "facts of TLS in \(value.count) bytes, where 5 are the least")
        }
        let (isTLS, certificate) = (flags & 1 != 0, flags & 6 != 0)
        var facts = ProxyHeader.TLSFacts(
            hasVerifiedClient: certificate && value.dropFirst().prefix(4).allSatisfy { $0 == 0 })
        for (kind, text) in try fields(of: value.dropFirst(5)) {
            switch kind {
            case Kind.tlsVersion: facts.version = String(showing: text)
            case Kind.cipher: facts.cipher = String(showing: text)
            case Kind.commonName: facts.commonName = String(showing: text)
            default: break
            }
        }
        return isTLS ? facts : nil
    }
}
