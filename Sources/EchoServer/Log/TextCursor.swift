import GreenNet

/// Writes text into memory that its maker has, byte behind byte.  The caller sees to it that there is room.
struct TextCursor {
    /// Where the next byte goes.
    private(set) var position: UnsafeMutablePointer<UInt8>

    init(at position: UnsafeMutablePointer<UInt8>) { self.position = position }

    @inline(__always)
    mutating func put(_ text: StaticString) {
        position.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        position += text.utf8CodeUnitCount
    }

    mutating func put(_ bytes: some Collection<UInt8>) {
        for byte in bytes {
            position.pointee = byte
            position += 1
        }
    }

    /// In decimal digits.  The number is not negative.
    mutating func put(_ number: Int) {
        var (count, rest) = (1, number)
        while rest >= 10 { (count, rest) = (count + 1, rest / 10) }
        put(number, digits: count)
    }

    /// The last `count` decimal digits, with zeros in front.
    mutating func put(_ number: Int, digits count: Int) {
        position += count
        var (rest, place) = (UInt(bitPattern: number), position)
        for _ in 0..<count {
            place -= 1
            place.pointee = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}

extension TextCursor {
    /// As a JSON string.
    mutating func put(_ address: SocketAddress) {
        put("\"")
        switch address {
        case .ipv4(_, let port):
            put(ipv4: address)
            put(":")
            put(Int(port))
        case .ipv6: put("\(address)".utf8)
        case .unix:
            var text: [UInt8] = []
            text.append("\(address)", .json)
            put(text)
        }
        put("\"")
    }

    private mutating func put(ipv4 address: SocketAddress) {
        // In the order of the network: the first of the four is the lowest byte.
        let bits = address.hostBits!.1
        for index in 0..<4 {
            if index > 0 { put(".") }
            put(Int(bits >> (8 * UInt64(index)) & 0xff))
        }
    }
}
