import Glibc
import GreenNet
import Logging

/// An entry as one line, its end included: never longer than a pipe takes in one piece.
enum LogLine {
    /// How many bytes of the message and of each value are kept: the first limit that makes the line short enough counts.
    private static let limits = [Int.max, 2048, 512, 128, 32]

    /// `2026-11-21T03:28:47.123Z notice accepting again address=127.0.0.1:8080`
    static func text(_ entry: LogEntry, longest: Int) -> [UInt8] {
        fit(entry, longest) { entry, limit in
            var line = timestamp(entry.time)
            line.append(" \(entry.level.rawValue) ")
            appendBody(of: entry, .plain, limit, to: &line)
            return line
        }
    }

    /// As sd-daemon(3) has it, for standard error that the journal reads: `<5>accepting again address=127.0.0.1:8080`
    static func prefixed(_ entry: LogEntry, longest: Int) -> [UInt8] {
        fit(entry, longest) { entry, limit in
            var line = Array("<\(entry.level.syslogPriority)>".utf8)
            appendBody(of: entry, .plain, limit, to: &line)
            return line
        }
    }

    /// `{"ts":"2026-11-21T03:28:47.123Z","level":"notice","msg":"accepting again","address":"127.0.0.1:8080"}`
    static func json(_ entry: LogEntry, longest: Int) -> [UInt8] {
        fit(entry, longest) { entry, limit in
            var line = Array(#"{"ts":""#.utf8)
            line += timestamp(entry.time)
            line.append(#"","level":"\#(entry.level.rawValue)","msg":"#)
            line.append(json: entry.title, limit)
            for field in entry.fields {
                line.append(",")
                line.append(json: ["ts", "level", "msg"].contains(field.key) ? field.key + "_" : field.key, limit)
                line.append(":")
                line.append(json: field.value, limit)
            }
            line.append("}")
            return line
        }
    }

    private static func fit(_ entry: LogEntry, _ longest: Int, _ render: (LogEntry, Int) -> [UInt8]) -> [UInt8] {
        for limit in limits {
            let line = render(entry, limit)
            if line.count < longest { return line + [UInt8(ascii: "\n")] }
        }
        // There are too many fields to keep any.
        let bare = LogEntry(time: entry.time, level: entry.level, message: entry.message)
        return render(bare, limits.last!) + [UInt8(ascii: "\n")]
    }

    // MARK: Text

    /// The title, and the fields that are not in it as `key=value`.
    static func appendBody(of entry: LogEntry, _ escaping: Escaping, _ limit: Int = .max, to line: inout [UInt8]) {
        line.append(entry.title, escaping, limit: limit)
        let object = entry.object
        for field in entry.fields where field.key != object?.key {
            line.append(" ")
            line.append(field.key, .plain, limit: limit)
            line.append("=")
            line.append(value: field.text, limit)
        }
    }

    /// In UTC.
    static func timestamp(_ time: timespec) -> [UInt8] {
        var (seconds, parts) = (time.tv_sec, tm())
        gmtime_r(&seconds, &parts)
        var text: [UInt8] = []
        text.append(Int(parts.tm_year) + 1900, width: 4)
        for (separator, number) in [
            ("-", parts.tm_mon + 1), ("-", parts.tm_mday), ("T", parts.tm_hour), (":", parts.tm_min),
            (":", parts.tm_sec),
        ] {
            text.append(separator)
            text.append(Int(number), width: 2)
        }
        text.append(".")
        text.append(time.tv_nsec / 1_000_000, width: 3)
        text.append("Z")
        return text
    }
}

extension Logger.Level {
    /// syslog(3)'s numbers, which are the journal's too.
    var syslogPriority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ number: Int, width: Int) {
        let digits = String(number)
        append(contentsOf: repeatElement(UInt8(ascii: "0"), count: Swift.max(0, width - digits.utf8.count)))
        append(digits)
    }

    /// In quotation marks, unless its end is plain without them.
    fileprivate mutating func append(value: String, _ limit: Int) {
        let isBare =
            !value.isEmpty && value.unicodeScalars.allSatisfy { !" \"\\=".unicodeScalars.contains($0) && !$0.isControl }
        if isBare { return append(value, .plain, limit: limit) }
        append("\"")
        append(value, .quoted, limit: limit)
        append("\"")
    }

    fileprivate mutating func append(json text: String, _ limit: Int) {
        append("\"")
        append(text, .json, limit: limit)
        append("\"")
    }

    fileprivate mutating func append(json value: Logger.MetadataValue, _ limit: Int) {
        switch value {
        case .string(let text): append(json: text, limit)
        case .stringConvertible(let number as any BinaryInteger): append("\(number)")
        case .stringConvertible(let number as Double) where number.isFinite: append("\(number)")
        case .stringConvertible(let flag as Bool): append("\(flag)")
        case .stringConvertible(let other): append(json: "\(other)", limit)
        case .array(let values): append(json: values, "[", "]") { $0.append(json: $1, limit) }
        case .dictionary(let values):
            append(json: values.sorted { $0.key < $1.key }, "{", "}") { line, pair in
                line.append(json: pair.key, limit)
                line.append(":")
                line.append(json: pair.value, limit)
            }
        }
    }

    private mutating func append<Item>(
        json elements: [Item], _ opening: String, _ closing: String, _ append: (inout [UInt8], Item) -> Void
    ) {
        self.append(opening)
        for (index, element) in elements.enumerated() {
            if index > 0 { self.append(",") }
            append(&self, element)
        }
        self.append(closing)
    }
}
