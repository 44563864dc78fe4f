import GreenNet

extension ProxyHeader {
    /// As it is sent.  Of the extensions, it has the checksum: version 2 always.
    ///
    /// Ends of which one is a unix socket, or that are of two families, are written as unknown in version 1.
    package var bytes: [UInt8] {
        switch version {
        case .v1: Array((line + "\r\n").utf8)
        case .v2: binary
        }
    }

    private var line: String {
        guard let ends = ends.map({ ($0.source.unmapped, $0.destination.unmapped) }) else { return "PROXY UNKNOWN" }
        func words(_ family: String) -> String {
            let addresses = [ends.0, ends.1].map { "\($0.withoutScope)".dropLast("\($0.port!)".count + 1) }
            let plain = addresses.map { $0.filter { $0 != "[" && $0 != "]" } }
            return "PROXY \(family) \(plain[0]) \(plain[1]) \(ends.0.port!) \(ends.1.port!)"
        }
        return switch ends {
        case (.ipv4, .ipv4): words("TCP4")
        case (.ipv6, .ipv6): words("TCP6")
        default: "PROXY UNKNOWN"
        }
    }

    private var binary: [UInt8] {
        let (family, addresses) = familyAndAddresses
        let checksumField: [UInt8] = [0x03, 0, 4, 0, 0, 0, 0]
        let rest = addresses + checksumField
        var bytes = ProxyHeaderParser.signature + [isLocal ? 0x20 : 0x21, family] + big(UInt16(rest.count)) + rest
        bytes.replaceSubrange((bytes.count - 4)..., with: big(CRC32C.checksum(bytes)))
        return bytes
    }

    private var familyAndAddresses: (UInt8, [UInt8]) {
        guard let ends, !isLocal else { return (0, []) }
        let (source, destination) = (ends.source.unmapped, ends.destination.unmapped)
        switch (source, destination) {
        case (.ipv4, .ipv4), (.ipv6, .ipv6):
            let bytes = source.networkBytes! + destination.networkBytes!
            return (bytes.count == 8 ? 0x11 : 0x21, bytes + big(source.port!) + big(destination.port!))
        case (.unix(let from), .unix(let to)): return (0x31, padded(from) + padded(to))
        default: return (0, [])
        }
    }

    private func padded(_ path: String) -> [UInt8] {
        var bytes = Array(path.utf8.prefix(108))
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        return bytes + Array(repeating: 0, count: 108 - bytes.count)
    }

    private func big(_ number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }
}

extension SocketAddress {
    /// An interface of this machine means nothing to another.
    fileprivate var withoutScope: SocketAddress {
        guard case .ipv6(_, let port) = self, let bytes = networkBytes else { return self }
        return SocketAddress(networkBytes: bytes, port: port) ?? self
    }
}
