import Glibc

// MARK: - The bits of an address, for ranges of addresses and for protocols that carry addresses

extension SocketAddress {
    /// From the bytes of an address in the order of the network: 4 for IPv4, 16 for IPv6.  Nil for another number.
    package init?(networkBytes bytes: some Collection<UInt8>, port: UInt16) {
        let bytes = Array(bytes)
        switch bytes.count {
        case 4: self = .ipv4(IPv4(bytes: bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }), port: port)
        case 16:
            let (high, low) = bytes.withUnsafeBytes { bytes in
                (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            self = .ipv6(IPv6(high: high, low: low, scope: 0), port: port)
        default: return nil
        }
    }

    /// The bytes of the address in the order of the network: 4 or 16; nil for a unix address.
    package var networkBytes: [UInt8]? {
        switch self {
        case .ipv4(let address, _): withUnsafeBytes(of: address.bytes) { Array($0) }
        case .ipv6(let address, _): withUnsafeBytes(of: (address.high, address.low)) { Array($0) }
        case .unix: nil
        }
    }

    /// The address as one number of 128 bits, with an IPv4 address as `::ffff:192.0.2.1`, which is how a socket for both has it.  Nil for a unix address.
    package var mappedBits: UInt128? {
        guard case .ipv6(let address, _) = mapped else { return nil }
        return UInt128(UInt64(bigEndian: address.high)) << 64 | UInt128(UInt64(bigEndian: address.low))
    }

    /// An IPv4 address that an IPv6 socket has as `::ffff:192.0.2.1`, as IPv4; others as they are.
    package var unmapped: SocketAddress {
        guard case .ipv6(let address, let port) = self, let bits = mappedBits, bits >> 32 == 0xffff else { return self }
        return .ipv4(IPv4(bytes: UInt32(truncatingIfNeeded: UInt64(bigEndian: address.low)).bigEndian), port: port)
    }
}
