/// A request of HTTP/1, as far as it matters here: what somebody wants to see.
struct HTTPRequest: Equatable {
    /// Without the query.
    let path: String
    /// HEAD: the answer without its body.
    let wantsHeadOnly: Bool

    /// What a request may be long, up to and with the empty line behind it.
    static let longest = 8 << 10

    private typealias Bytes = ArraySlice<UInt8>

    /// Reads `head`, which goes up to the empty line.  Throws what the answer is to be where it is no request, or none that is served.
    ///
    /// Byte by byte: what Swift takes for one character may be a space or a line feed and what combines with it.
    init(head: [UInt8]) throws(HTTPFailure) {
        guard head.allSatisfy(HTTPRequest.mayOccur), String(validating: head, as: UTF8.self) != nil else {
            throw .badRequest
        }
        var lines = HTTPRequest.lines(of: head)[...]
        guard !lines.joined().contains(UInt8(ascii: "\r")) else { throw .badRequest }
        let words = (lines.popFirst() ?? []).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 3, HTTPRequest.isToken(words[0]) else { throw .badRequest }
        try HTTPRequest.checkVersion(words[2])
        try HTTPRequest.checkFields(lines, hasHost: !words[2].elementsEqual("HTTP/1.0".utf8))
        wantsHeadOnly = words[0].elementsEqual("HEAD".utf8)
        guard wantsHeadOnly || words[0].elementsEqual("GET".utf8) else { throw .methodNotAllowed }
        guard words[1].first == UInt8(ascii: "/"), !words[1].contains(UInt8(ascii: "\t")) else { throw .badRequest }
        path = String(decoding: words[1].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
    }

    /// A line feed alone ends a line too, as RFC 9112 suggests.
    private static func lines(of head: [UInt8]) -> [Bytes] {
        head.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
            line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        }
    }

    private static func mayOccur(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7f || [9, 10, 13].contains(byte) }

    private static func checkVersion(_ text: Bytes) throws(HTTPFailure) {
        let numbers = Array(text.dropFirst(5))
        guard text.starts(with: "HTTP/".utf8), numbers.count == 3, numbers[1] == UInt8(ascii: "."),
            isDigit(numbers[0]), isDigit(numbers[2])
        else { throw .badRequest }
        guard numbers[0] == UInt8(ascii: "1") else { throw .versionNotSupported }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// They say nothing that matters here, but a request in which they are wrong is none.
    private static func checkFields(_ lines: ArraySlice<Bytes>, hasHost: Bool) throws(HTTPFailure) {
        var hosts = 0
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), isToken(line[..<colon]) else { throw .badRequest }
            // Letters alone differ from their lower case in this bit.
            if line[..<colon].map({ $0 | 0x20 }).elementsEqual("host".utf8) { hosts += 1 }
        }
        guard hosts == 1 || hosts == 0 && !hasHost else { throw .badRequest }
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

/// Why there is no answer but this one.
enum HTTPFailure: Error, Equatable {
    case badRequest, notFound, methodNotAllowed, timeout, headTooLong, versionNotSupported
}
