/// A request of HTTP/1, as far as it matters here: method and path.
struct HTTPRequest: Equatable {
    let method: Method
    /// Without the query; `*` where OPTIONS asks about the server as a whole.
    let path: String

    enum Method: String {
        case get = "GET"
        case head = "HEAD"
        case options = "OPTIONS"
    }

    private typealias Bytes = ArraySlice<UInt8>

    /// Whether the answer has no body.
    var wantsHeadOnly: Bool { method == .head }

    /// Reads `head`, which goes up to the empty line.  Throws what the answer is where that is no request, or a request that is not served.
    ///
    /// Byte by byte: one character of Swift may be a space or a line feed with a combining mark.
    init(head: [UInt8]) throws(HTTPFailure) {
        guard head.allSatisfy(HTTPRequest.mayOccur) else { throw .badRequest }
        // Empty lines before the request are ignored.
        var lines = HTTPRequest.lines(of: head).drop { $0.isEmpty }
        guard !lines.joined().contains(UInt8(ascii: "\r")) else { throw .badRequest }
        let words = (lines.popFirst() ?? []).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 3, HTTPRequest.isToken(words[0]) else { throw .badRequest }
        try HTTPRequest.checkVersion(words[2])
        try HTTPRequest.checkFields(lines, needsHost: !words[2].elementsEqual("HTTP/1.0".utf8))
        guard let method = Method(rawValue: String(decoding: words[0], as: UTF8.self)) else { throw .methodNotAllowed }
        self.method = method
        let isServer = method == .options && words[1].elementsEqual("*".utf8)
        path = isServer ? "*" : try HTTPTarget.path(of: words[1])
    }

    /// A line feed alone ends a line too, as RFC 9112 suggests.
    private static func lines(of head: [UInt8]) -> [Bytes] {
        head.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
            line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        }
    }

    /// Bytes beyond ASCII are allowed: the value of a field may be in any encoding (RFC 9110, 5.5).
    private static func mayOccur(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7f || [9, 10, 13].contains(byte) }

    private static func checkVersion(_ text: Bytes) throws(HTTPFailure) {
        let numbers = Array(text.dropFirst(5))
        guard text.starts(with: "HTTP/".utf8), numbers.count == 3, numbers[1] == UInt8(ascii: "."),
            isDigit(numbers[0]), isDigit(numbers[2])
        else { throw .badRequest }
        guard numbers[0] == UInt8(ascii: "1") else { throw .versionNotSupported }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Checks the fields, whose values are not used.  Refuses a folded line, and a space before a colon: other programs may read these differently.
    private static func checkFields(_ lines: ArraySlice<Bytes>, needsHost: Bool) throws(HTTPFailure) {
        var hosts = 0
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), isToken(line[..<colon]) else { throw .badRequest }
            // Letters alone differ from their lower case in this bit.
            guard line[..<colon].map({ $0 | 0x20 }).elementsEqual("host".utf8) else { continue }
            hosts += 1
            let value = trimmed(line[(colon + 1)...])
            guard value.isEmpty || HTTPTarget.isAuthority(value) else { throw .badRequest }
        }
        guard hosts == 1 || hosts == 0 && !needsHost else { throw .badRequest }
    }

    private static func trimmed(_ value: Bytes) -> Bytes {
        func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        let rest = value.drop(while: isSpace)
        return rest.prefix(rest.count - rest.reversed().prefix(while: isSpace).count)
    }

    private static func isToken(_ text: Bytes) -> Bool {
        !text.isEmpty
            && text.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                default: isDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

/// Why a request gets an answer other than a page.
enum HTTPFailure: Error, Equatable {
    case badRequest, notFound, methodNotAllowed, timeout, headTooLong, versionNotSupported
}
