import CUppercase

/// What happens to the bytes between receiving and sending.
enum Transform: String, CaseIterable, Sendable {
    case upper
    case echo
    case lower
    case rot13
    /// Each line from its end to its beginning.
    case reverse
    /// Nothing is sent back.
    case discard
    /// Each line is answered with who its client is.
    case whoami

    /// Whether each byte is answered by one byte, so that `apply` does it.  The others have handlers of their own.
    var isInPlace: Bool {
        switch self {
        case .upper, .echo, .lower, .rot13: true
        case .reverse, .discard, .whoami: false
        }
    }

    @inline(__always)
    func apply(to bytes: UnsafeMutableRawBufferPointer) {
        switch self {
        case .upper: uppercase(bytes)
        case .lower: lowercase(bytes)
        case .rot13: rotate(bytes)
        case .echo, .reverse, .discard, .whoami: break
        }
    }

    /// As in `upper, echo or lower`.
    static let names =
        allCases.dropLast().map(\.rawValue).joined(separator: ", ") + " or \(allCases.last!.rawValue)"
}

/// Makes ASCII a to z upper case.  Every other byte stays as it is, in any encoding.
@inline(__always)
func uppercase(_ bytes: UnsafeMutableRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    ascii_uppercase(start.assumingMemoryBound(to: UInt8.self), bytes.count)
}

/// Makes ASCII A to Z lower case.  Every other byte stays as it is.
@inline(never)
func lowercase(_ bytes: UnsafeMutableRawBufferPointer) {
    for index in bytes.indices where (0x41...0x5a).contains(bytes[index]) { bytes[index] |= 0x20 }
}

/// Moves the ASCII letters 13 places on, in their own case: applied twice, it changes nothing.
@inline(never)
func rotate(_ bytes: UnsafeMutableRawBufferPointer) {
    for index in bytes.indices {
        switch bytes[index] {
        case 0x41...0x4d, 0x61...0x6d: bytes[index] += 13
        case 0x4e...0x5a, 0x6e...0x7a: bytes[index] -= 13
        default: break
        }
    }
}
