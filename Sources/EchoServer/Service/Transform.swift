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

/// ASCII a to z become A to Z; every other byte stays, whatever encoding it belongs to.
///
/// No branch in the loop, so that the compiler makes vectors of it.
func uppercase(_ bytes: UnsafeMutableRawBufferPointer) {
    let text = bytes.assumingMemoryBound(to: UInt8.self)
    for index in text.indices {
        let byte = text[index]
        let isLower: UInt8 = byte &- UInt8(ascii: "a") < 26 ? 0x20 : 0
        text[index] = byte ^ isLower
    }
}
