/// A request of HTTP/1, as far as it matters here: what somebody wants to see.
struct HTTPRequest: Equatable {
    /// Without the query.
    let path: String
    /// HEAD: the answer without its body.
    let wantsHeadOnly: Bool

    /// What a request may be long, up to and with the empty line behind it.
    static let longest = 8 << 10

    /// Reads `head`, which goes up to the empty line.  Throws what the answer is to be where it is no request, or none that is served.
    init(head: [UInt8]) throws(HTTPFailure) {
        guard let text = String(validating: head, as: UTF8.self), text.utf8.allSatisfy(HTTPRequest.mayOccur) else {
            throw .badRequest
        }
        // Swift takes a carriage return with its line feed for one character.
        guard !text.contains("\r") else { throw .badRequest }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: HTTPRequest.endsLine)[...]
        let words = (lines.popFirst() ?? "").split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, HTTPRequest.isToken(words[0]) else { throw .badRequest }
        try HTTPRequest.checkVersion(words[2])
        try HTTPRequest.checkFields(lines, hasHost: words[2] != "HTTP/1.0")
        guard words[0] == "GET" || words[0] == "HEAD" else { throw .methodNotAllowed }
        guard words[1].hasPrefix("/"), !words[1].contains("\t") else { throw .badRequest }
        wantsHeadOnly = words[0] == "HEAD"
        path = String(words[1].prefix { $0 != "?" })
    }

    /// A line feed alone will do, as RFC 9112 suggests.
    private static func endsLine(_ character: Character) -> Bool { character == "\r\n" || character == "\n" }

    private static func mayOccur(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7f || [9, 10, 13].contains(byte) }

    private static func checkVersion(_ text: Substring) throws(HTTPFailure) {
        let numbers = text.utf8.dropFirst(5)
        guard text.hasPrefix("HTTP/"), numbers.count == 3, numbers.dropFirst().first == UInt8(ascii: "."),
            numbers.filter((UInt8(ascii: "0")...UInt8(ascii: "9")).contains).count == 2
        else { throw .badRequest }
        guard numbers.first == UInt8(ascii: "1") else { throw .versionNotSupported }
    }

    /// They say nothing that matters here, but a request in which they are wrong is none.
    private static func checkFields(_ lines: ArraySlice<Substring>, hasHost: Bool) throws(HTTPFailure) {
        var hosts = 0
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: ":"), isToken(line[..<colon]) else { throw .badRequest }
            if line[..<colon].lowercased() == "host" { hosts += 1 }
        }
        guard hosts == 1 || hosts == 0 && !hasHost else { throw .badRequest }
    }

    private static func isToken(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

/// Why there is no answer but this one.
enum HTTPFailure: Error, Equatable {
    case badRequest, notFound, methodNotAllowed, timeout, headTooLong, versionNotSupported
}
