import CUppercase

/// What happens to the bytes between receiving and sending, in place.
enum Transform: String, Sendable {
    case upper
    case echo

    @inline(__always)
    func apply(to bytes: UnsafeMutableRawBufferPointer) {
        switch self {
        case .upper: uppercase(bytes)
        case .echo: break
        }
    }
}

/// Makes ASCII a to z upper case.  Every other byte stays as it is, in any encoding.
@inline(__always)
func uppercase(_ bytes: UnsafeMutableRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    ascii_uppercase(start.assumingMemoryBound(to: UInt8.self), bytes.count)
}
