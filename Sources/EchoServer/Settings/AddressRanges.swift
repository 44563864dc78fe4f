import GreenNet

/// Ranges of addresses, as `10.0.0.0/8,::1,unix`: addresses with or without the length of a prefix, and the clients of unix sockets.
struct AddressRanges: Hashable, Sendable {
    private let ranges: [Range]
    private let hasUnix: Bool

    /// What this machine alone can have.
    static let local = AddressRanges("127.0.0.0/8,::1,unix")!

    static let rule = "a list of addresses and ranges, such as 10.0.0.0/8,::1,unix"
    /// A connection is compared with each of them.
    static let most = 1024

    private struct Range: Hashable {
        /// With an IPv4 address mapped into IPv6.
        let bits: UInt128
        let mask: UInt128
        let text: String

        var isIPv4: Bool { AddressRanges.isIPv4(bits) }
    }

    /// Nil where a part is no range.
    init?(_ text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= AddressRanges.most, AddressRanges.complaint(about: text) == nil else { return nil }
        hasUnix = parts.contains("unix")
        ranges = parts.compactMap { AddressRanges.range($0) }
    }

    /// Why a text is no list of ranges; nil where it is.
    @Sendable
    static func complaint(about text: String) -> String? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if parts.count > most { return "\(parts.count) ranges, where \(most) are the most" }
        for part in parts where part != "unix" {
            guard let range = range(part) else {
                return "'\(part)' is no address, and no address with /0 to /32, or /128 of IPv6"
            }
            if range.bits & ~range.mask != 0 { return "'\(part)' has bits behind its prefix" }
        }
        return nil
    }

    private static func range(_ text: String) -> Range? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard !parts[0].contains("%"), let address = SocketAddress(ip: parts[0], port: 0), let bits = address.mappedBits
        else { return nil }
        let longest = if case .ipv4 = address { 32 } else { 128 }
        guard let length = parts.count == 1 ? longest : prefix(parts[1]), (0...longest).contains(length) else {
            return nil
        }
        // Shifted by all bits, a number is 0.
        return Range(bits: bits, mask: UInt128.max << UInt128(longest - length), text: text)
    }

    /// Without a sign, and without a zero in front.
    private static func prefix(_ text: String) -> Int? { Int(text).flatMap { "\($0)" == text ? $0 : nil } }

    /// Whether the address is in one of the ranges.  A client of IPv4 is the same on a socket of IPv6.
    func contains(_ address: SocketAddress) -> Bool {
        guard let bits = address.mappedBits else { return hasUnix }
        let isIPv4 = AddressRanges.isIPv4(bits)
        return ranges.contains { $0.isIPv4 == isIPv4 && bits & $0.mask == $0.bits }
    }

    /// ::ffff:0:0/96, in which IPv4 is: `::/0` is IPv6 alone.
    private static func isIPv4(_ bits: UInt128) -> Bool { bits >> 32 == 0xffff }
}

extension AddressRanges: CustomStringConvertible {
    var description: String { (ranges.map(\.text) + (hasUnix ? ["unix"] : [])).joined(separator: ",") }
}
