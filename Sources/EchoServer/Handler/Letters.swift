import CUppercase

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
