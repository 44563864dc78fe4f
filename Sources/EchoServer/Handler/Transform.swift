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
