/// An error number of the system, shown in words with its name behind: `connection reset by peer (ECONNRESET)`.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The number as the C library has it.
    public let code: Int32

    /// Wraps a number as the C library has it.
    public init(_ code: Int32) { self.code = code }

    /// The symbolic name, such as `ECONNRESET`; `errno 1234` for a number that has none.
    public var name: String { LinuxCalls.errnoName(code) ?? "errno \(code)" }

    /// The C library's words, in English: `connection reset by peer`; nil for a number that has none.
    package var words: String? {
        guard let words = LinuxCalls.errnoWords(code), let first = words.unicodeScalars.first else { return nil }
        // They begin a sentence there.  Abbreviations stay: `RPC struct is bad`.
        let isAbbreviation = words.unicodeScalars.dropFirst().first?.properties.isUppercase ?? false
        return isAbbreviation
            ? words : first.properties.lowercaseMapping + words.unicodeScalars.dropFirst().map { String($0) }.joined()
    }

    /// The words and the name: `connection reset by peer (ECONNRESET)`.
    public var description: String { words.map { "\($0) (\(name))" } ?? name }
}
