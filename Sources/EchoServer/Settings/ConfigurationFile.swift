import Glibc
import GreenNet
import ProgramKit

/// A file of settings, a line each: `drain-timeout = 30`, as the option is called, or `ECHO_SERVER_DRAIN_TIMEOUT=30`, as in a file of
/// environment variables.  Empty lines and lines that begin with `#` are ignored; a value may be in quotes.
struct ConfigurationFile {
    private let path: String
    private var entries: [String: Entry] = [:]

    private struct Entry {
        let value: String
        let line: Int
        let key: String
    }

    /// The largest size of a file, in bytes: a larger file is no configuration.
    private static let longest = 1 << 20

    /// Throws a `StartFailure` that names the file and the line, where the file can't be read, or has a line or a key without a meaning.
    init(path: String, isOptional: Bool = false) throws(StartFailure) {
        var bytes: [UInt8] = []
        do throws(SystemError) {
            bytes = try SmallFile.read(path, upTo: ConfigurationFile.longest)
        } catch {
            let isForgiven = isOptional && error.code == ENOENT
            if !isForgiven { throw StartFailure(.configuration, "cannot read \(path): \(error)") }
        }
        try self.init(path: path, bytes: bytes)
    }

    /// Reads standard input, waiting for its end.
    static func standardInput() throws(StartFailure) -> ConfigurationFile {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try SmallFile.readStandardInput(upTo: ConfigurationFile.longest)
        } catch {
            throw StartFailure(.configuration, "cannot read standard input: \(error)")
        }
        return try ConfigurationFile(path: "standard input", bytes: bytes)
    }

    /// A comment may be in any encoding.
    init(path: String, bytes: [UInt8]) throws(StartFailure) {
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let isComment = line.first { ![UInt8(ascii: " "), UInt8(ascii: "\t")].contains($0) } == UInt8(ascii: "#")
            if isComment || String(utf8: line) != nil { continue }
            throw StartFailure(.configuration, "\(path):\(index + 1): '\(String(showing: line))' is not UTF-8")
        }
        try self.init(path: path, text: String(decoding: bytes, as: UTF8.self))
    }

    init(path: String, text: String) throws(StartFailure) {
        self.path = path
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            try add(line, number: index + 1)
        }
    }

    func value(of name: String) -> (text: String, origin: SettingSources.Origin)? {
        entries[name].map { ($0.value, .file(path: path, line: $0.line, key: $0.key)) }
    }

    private mutating func add(_ line: Substring, number: Int) throws(StartFailure) {
        let line = line.trimmed
        guard !line.isEmpty, !line.hasPrefix("#") else { return }
        guard let equals = line.firstIndex(of: "=") else {
            throw StartFailure(.configuration, "\(path):\(number): '\(line)' is not of the form KEY = VALUE")
        }
        let key = String(line[..<equals].trimmed)
        let name = ConfigurationFile.name(of: key)
        guard Settings.names.contains(name) else {
            let nearest = Spelling.nearest(to: name, among: Settings.names).map { "; did you mean '\($0)'?" } ?? ""
            throw StartFailure(.configuration, "\(path):\(number): unknown setting '\(key)'\(nearest)")
        }
        if let earlier = entries[name] {
            throw StartFailure(.configuration, "\(path):\(number): \(key) was already given in line \(earlier.line)")
        }
        entries[name] = Entry(value: line[line.index(after: equals)...].trimmed.unquoted, line: number, key: key)
    }

    private static func name(of key: String) -> String {
        guard key.hasPrefix(SettingSources.variablePrefix) else { return key }
        return String(key.dropFirst(SettingSources.variablePrefix.count).lowercased().map { $0 == "_" ? "-" : $0 })
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        let start = drop { $0.isWhitespace }
        return start[..<(start.lastIndex { !$0.isWhitespace }.map { start.index(after: $0) } ?? start.startIndex)]
    }

    fileprivate var unquoted: String {
        for quote in ["\"", "'"] where count >= 2 && hasPrefix(quote) && hasSuffix(quote) {
            return String(dropFirst().dropLast())
        }
        return String(self)
    }
}
