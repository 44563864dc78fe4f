/// Collects the bytes of a request as they come, up to and with the empty line behind its fields.
///
/// Empty lines before the request are part of it, and ignored: some clients send one behind the body of their last request (RFC 9112, 2.2).
struct HTTPHead {
    private var bytes: [UInt8] = []
    private var hasBegun = false
    /// Whether only a carriage return has come since the last line feed.
    private var isLineEmpty = true

    /// Most bytes of a head.
    static let longest = 8 << 10

    var isEmpty: Bool { !hasBegun }

    /// Adds `more` up to the end of the head, and drops the rest.  Returns the head when it is complete.
    mutating func add(_ more: some Sequence<UInt8>) throws(HTTPFailure) -> [UInt8]? {
        for byte in more {
            bytes.append(byte)
            if isEnd(byte) { return bytes }
            if bytes.count == HTTPHead.longest { throw .headTooLong }
        }
        return nil
    }

    private mutating func isEnd(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\n"):
            if hasBegun && isLineEmpty { return true }
            isLineEmpty = true
        case UInt8(ascii: "\r"): break
        default: (hasBegun, isLineEmpty) = (true, false)
        }
        return false
    }
}
