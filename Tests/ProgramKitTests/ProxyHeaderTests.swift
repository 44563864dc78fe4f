import GreenNet
import Testing

@testable import ProgramKit

@Suite struct ProxyHeaderTests {
    private static let ends = [
        ("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2"),
        ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ].map {
        ProxyHeader.Ends(source: SocketAddress(ip: $0, port: 1)!, destination: SocketAddress(ip: $1, port: 65_535)!)
    }

    /// Gives the parser no more than it asks for.
    private func parse(
        _ bytes: [UInt8], atMost most: Int = .max
    ) throws -> (step: ProxyHeaderParser.Step, rest: [UInt8]) {
        var (parser, rest) = (ProxyHeaderParser(), bytes[...])
        var step = try parser.step()
        while case .needs(let count) = step, !rest.isEmpty {
            let piece = rest.prefix(min(count, most))
            rest = rest.dropFirst(piece.count)
            step = try parser.add(piece)
        }
        return (step, Array(rest))
    }

    private func header(in bytes: [UInt8]) throws -> ProxyHeader {
        let step = try parse(bytes).step
        let header: ProxyHeader? = if case .done(let header) = step { header } else { nil }
        return try #require(header, "\(step)")
    }

    private func refusal(of bytes: [UInt8]) -> ProxyHeaderError? {
        #expect(throws: ProxyHeaderError.self) { try parse(bytes) }
    }

    /// A header of version 2 with these parts.
    private func binary(
        _ rest: [UInt8], command: UInt8 = 0x21, family: UInt8 = 0x11, length: Int? = nil
    ) -> [UInt8] {
        let length = length ?? rest.count
        return ProxyHeaderParser.signature + [command, family, UInt8(length >> 8), UInt8(length & 0xff)] + rest
    }

    private static let ipv4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0, 1, 0xff, 0xff]

    // MARK: - What is taken

    @Test(arguments: ProxyHeader.Version.allCases, ends)
    func `a header that was written is read again, in any pieces, and not a byte behind it`(
        version: ProxyHeader.Version, ends: ProxyHeader.Ends
    ) throws {
        var header = ProxyHeader(version, ends)
        header.extensions.isChecked = version == .v2
        for most in [1, 2, 7, Int.max] {
            let (step, rest) = try parse(header.bytes + Array("\r\nrest".utf8), atMost: most)
            #expect(step == .done(header))
            #expect(rest == Array("\r\nrest".utf8))
        }
    }

    @Test func `ends that are unix sockets go into version 2, and are unknown in version 1`() throws {
        let ends = ProxyHeader.Ends(source: .unix(path: "/run/client"), destination: .unix(path: "@abstract"))
        #expect(ProxyHeader(.v1, ends).bytes == Array("PROXY UNKNOWN\r\n".utf8))
        let header = try header(in: ProxyHeader(.v2, ends).bytes)
        #expect(header.ends == ends)
    }

    @Test func `an IPv4 address of an IPv6 socket is written as IPv4`() throws {
        let mapped = ProxyHeader.Ends(
            source: SocketAddress(ip: "::ffff:192.0.2.1", port: 7)!,
            destination: SocketAddress(ip: "192.0.2.2", port: 8)!)
        #expect(ProxyHeader(.v1, mapped).bytes == Array("PROXY TCP4 192.0.2.1 192.0.2.2 7 8\r\n".utf8))
    }

    @Test func `the longest line is taken, and a longer one is not`() throws {
        let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        let line = Array("PROXY TCP6 \(address) \(address) 65535 65535\r\n".utf8)
        #expect(try header(in: line).ends?.source.port == 65_535)
        let long = Array("PROXY UNKNOWN ".utf8) + Array(repeating: UInt8(ascii: "x"), count: 93)
        #expect(try parse(long.dropLast(2) + [13, 10]).step == .done(ProxyHeader(.v1, nil)))
        #expect(refusal(of: long + [13, 10])?.reason == .tooLong)
    }

    @Test func `who speaks for itself or does not know its client names no ends`() throws {
        #expect(try parse(Array("PROXY UNKNOWN\r\n".utf8)).step == .done(ProxyHeader(.v1, nil)))
        let local = ProxyHeader(.v2, nil, isLocal: true)
        // What is behind the command LOCAL is skipped, whatever it is.
        for rest in [[], Self.ipv4, [1, 2, 3]] {
            #expect(try parse(binary(rest, command: 0x20, family: 0x00)).step == .done(local))
        }
        #expect(try parse(binary([1, 2, 3], command: 0x21, family: 0x00)).step == .done(ProxyHeader(.v2, nil)))
        #expect(try parse(local.bytes).step == .done(local))
    }

    @Test func `the extensions of HAProxy are read`() throws {
        let tls: [UInt8] = [0x07, 0, 0, 0, 0, 0x21, 0, 7] + Array("TLSv1.3".utf8) + [0x22, 0, 2] + Array("me".utf8)
        let fields: [UInt8] =
            [0x01, 0, 2] + Array("h2".utf8) + [0x02, 0, 1, 0xff, 0x04, 0, 3, 0, 0, 0, 0x05, 0, 2, 1, 2]
            + [0x20, 0, UInt8(tls.count)] + tls + [0x30, 0, 2] + Array("ns".utf8) + [0xee, 0, 0]
        let extensions = try header(in: binary(Self.ipv4 + fields)).extensions
        #expect(extensions.alpn == "h2" && extensions.authority == "\\xff" && extensions.uniqueID == [1, 2])
        #expect(extensions.namespace == "ns" && !extensions.isChecked)
        #expect(extensions.tls?.version == "TLSv1.3" && extensions.tls?.commonName == "me")
        #expect(extensions.tls?.hasVerifiedClient == true && extensions.tls?.cipher == nil)
    }

    @Test func `the checksum is that of RFC 3720`() {
        #expect(CRC32C.checksum(Array(repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.checksum(Array(repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xe306_9283)
    }

    @Test func `a header of which one bit is another has a wrong checksum, or is refused otherwise`() throws {
        let right = ProxyHeader(.v2, Self.ends[0]).bytes
        for place in 16..<right.count - 7 {
            var wrong = right
            wrong[place] ^= 1
            #expect(refusal(of: wrong)?.reason == .checksum)
        }
    }

    // MARK: - What is not

    @Test(arguments: ["GET / HTTP/1.0\r\n\r\n", "PROXZ TCP4 1.1.1.1", "x", "\r\n\r\nHELLO AND MORE", "\u{0}\u{0}\u{0}"])
    func `bytes that begin in another way are no header`(text: String) throws {
        #expect(try parse(Array(text.utf8)).step == .absent)
    }

    @Test(arguments: [
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "5 words, where a line of TCP4 has 6"),
        ("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", "7 words, where a line of TCP4 has 6"),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", "'::1' is not an IPv4 address"),
        ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "'1.2.3.4' is not an IPv6 address"),
        ("PROXY TCP6 fe80::1%1 ::1 1 2\r\n", "'fe80::1%1' is not an IPv6 address"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "the port '65536' is not a whole number from 0 to 65535"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n", "the port '02' is not a whole number from 0 to 65535"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n", "the port '+2' is not a whole number from 0 to 65535"),
        ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "'UDP4' is not TCP4, TCP6 or UNKNOWN"),
        ("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "'tcp4' is not TCP4, TCP6 or UNKNOWN"),
    ])
    func `a line with a wrong word is refused, and the word is named`(line: String, words: String) {
        #expect(refusal(of: Array(line.utf8)) == ProxyHeaderError(.malformed, words))
    }

    @Test func `a binary header with a wrong part is refused, and the part is named`() {
        let cases: [([UInt8], String)] = [
            (binary(Self.ipv4, command: 0x11, family: 0x11), "the version 1, where 2 is expected"),
            (binary(Self.ipv4, command: 0x22, family: 0x11), "the command 2, where 0 (LOCAL) and 1 (PROXY) are known"),
            (
                binary(Self.ipv4, command: 0x21, family: 0x41),
                "the family 4 and the protocol 1, where 0 to 3 and 0 to 2 are known"
            ),
            (
                binary(Self.ipv4, command: 0x21, family: 0x13),
                "the family 1 and the protocol 3, where 0 to 3 and 0 to 2 are known"
            ),
            (binary(Self.ipv4, command: 0x21, family: 0x21), "12 bytes, where the addresses alone have 36"),
            (binary(Self.ipv4 + [1, 0, 2, 0]), "an extension of the type 1 that ends 1 bytes behind the header"),
            (binary(Self.ipv4 + [1]), "an extension of the type 1 that ends 2 bytes behind the header"),
            (binary(Self.ipv4 + [3, 0, 1, 0]), "a checksum of 1 bytes, where 4 are expected"),
            (binary(Self.ipv4 + [0x20, 0, 1, 0]), "facts of TLS in 1 bytes, where 5 are the least"),
            (
                binary(Self.ipv4 + [5, 0, 129] + Array(repeating: 0, count: 129)),
                "a unique id of 129 bytes, where 128 are the most"
            ),
        ]
        for (bytes, words) in cases { #expect(refusal(of: bytes) == ProxyHeaderError(.malformed, words)) }
    }

    @Test func `the longest binary header is taken, and a longer one is refused before it is read`() throws {
        let rest = ProxyHeaderParser.longestRest
        let padding = Array(repeating: UInt8(0), count: rest - Self.ipv4.count - 3)
        let noop = [4, UInt8(padding.count >> 8), UInt8(padding.count & 0xff)] + padding
        #expect(try header(in: binary(Self.ipv4 + noop)).ends?.source.port == 1)
        #expect(refusal(of: binary([], length: rest + 1))?.reason == .tooLong)
    }

    @Test func `what may be a client's own bytes is known as such`() throws {
        for (text, mayBe) in [("", true), ("PROXY", true), ("PROXY ", false), ("\r\n\r\n\0\r\nQUIT", true)] {
            var parser = ProxyHeaderParser()
            _ = try parser.add(Array(text.utf8))
            #expect(parser.mayBeData == mayBe)
        }
        var parser = ProxyHeaderParser()
        _ = try parser.add(ProxyHeaderParser.signature)
        #expect(!parser.mayBeData)
    }
}
