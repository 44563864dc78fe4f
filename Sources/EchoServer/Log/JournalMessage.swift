import GreenNet
import Logging

/// An entry in the journal's native protocol: a field a line, or behind its length where the value has lines itself.
///
/// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
enum JournalMessage {
    static func bytes(_ entry: LogEntry) -> [UInt8] {
        var message: [UInt8] = []
        var text: [UInt8] = []
        // With the fields: `journalctl` shows the message only, by default.
        LogLine.appendBody(of: entry, .lines, to: &text)
        message.append(field: "MESSAGE", text)
        message.append(field: "PRIORITY", Array("\(entry.level.syslogPriority)".utf8))
        message.append(field: "SYSLOG_IDENTIFIER", Array("echo-server".utf8))
        for field in entry.fields { message.append(field: key(for: field.key), value(of: field)) }
        return message
    }

    /// Fields that have the same meaning in all programs.
    private static let commonKeys: Set = ["ERRNO", "PEER"]

    /// Capitals with underscores.  A single word gets the prefix ECHO_, since all programs share the journal: `ECHO_MODEL`, but `BYTES_IN`.
    static func key(for name: String) -> String {
        let capitals = name.unicodeScalars.map {
            $0.isASCII && $0.properties.isAlphabetic || ("0"..."9").contains($0) ? Character($0) : "_"
        }
        let key = String(capitals).uppercased()
        let needsPrefix = !key.contains("_") || !key.first!.isLetter
        // The journal takes at most 64 bytes.
        return String((needsPrefix && !commonKeys.contains(key) ? "ECHO_\(key)" : key).prefix(64))
    }

    private static func value(of field: LogEntry.Field) -> [UInt8] {
        // systemd.journal-fields(7) wants the number.
        if case .stringConvertible(let name as ErrnoName) = field.value { return Array("\(name.errno.code)".utf8) }
        var value: [UInt8] = []
        value.append(field.text, .lines)
        return value
    }
}

extension [UInt8] {
    fileprivate mutating func append(field key: String, _ value: [UInt8]) {
        append(key)
        if value.contains(UInt8(ascii: "\n")) {
            append("\n")
            Swift.withUnsafeBytes(of: UInt64(value.count).littleEndian) { append(contentsOf: $0) }
        } else {
            append("=")
        }
        append(contentsOf: value)
        append("\n")
    }
}
