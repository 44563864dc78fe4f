import Glibc
import GreenNet
import GreenTLS
import Logging

/// One event of the log, before it takes on a format.
struct LogEntry {
    let time: timespec
    let level: Logger.Level
    let message: String
    /// In the order in which they are written.
    private(set) var fields: [Field]

    struct Field {
        /// In small letters, with underscores: `bytes_in`.
        let key: String
        let value: Logger.MetadataValue
    }

    init(time: timespec, level: Logger.Level, message: String, fields: Logger.Metadata = [:]) {
        (self.time, self.level, self.message) = (time, level, message)
        self.fields = fields.map { Field(key: $0.key, value: $0.value) }.sorted { $0.key < $1.key }
    }

    /// An event of now.
    init(_ event: LogEvent, _ common: Logger.Metadata) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var fields = event.metadata ?? [:]
        if !common.isEmpty { fields.merge(common) { own, _ in own } }
        if let error = event.error { fields.merge(LogEntry.fields(of: error)) { own, _ in own } }
        self.init(time: time, level: event.level, message: event.message.description, fields: fields)
    }

    /// Reports with this line how many lines before it were lost.
    mutating func add(droppedLines count: Int) { fields.append(Field(key: "dropped_lines", value: .number(count))) }
}

extension LogEntry {
    /// The message, and the value of the field that completes it, as in `listening on 127.0.0.1:8080`: programs that start servers read the address
    /// there.
    var title: String { object.map { "\(message) \($0.text)" } ?? message }

    var object: Field? { LogEntry.objects[message].flatMap { key in fields.first { $0.key == key } } }

    private static let objects = ["listening on": "address", "admin on": "admin_address"]
}

extension LogEntry.Field {
    /// As it reads outside JSON.
    var text: String { "\(value)" }
}

extension Logger.MetadataValue {
    /// A number in JSON, too.
    static func number(_ number: some BinaryInteger & Sendable) -> Logger.MetadataValue { .stringConvertible(number) }

    /// In seconds, rounded to milliseconds.
    static func seconds(_ time: Duration) -> Logger.MetadataValue {
        let milliseconds = (time.nanoseconds + 500_000) / 1_000_000
        return milliseconds % 1000 == 0 ? .number(milliseconds / 1000) : .stringConvertible(Double(milliseconds) / 1000)
    }
}

// MARK: - Errors

extension LogEntry {
    /// The call that failed, the error number or another reason, and the peer or the address.
    static func fields(of error: any Error) -> Logger.Metadata {
        switch error {
        case let error as NetError:
            var fields: Logger.Metadata = ["call": .string(error.call.rawValue)]
            switch error.ending {
            case .system(let errno): fields.merge(LogEntry.fields(of: errno)) { own, _ in own }
            case .wait(let error): fields["reason"] = .string(token(of: error))
            case .invalid(let words): fields["reason"] = .string(words)
            case .endOfStream(let received, let wanted):
                fields.merge(["received": "\(received)", "wanted": "\(wanted)"]) { own, _ in own }
            }
            // A listener has no peer.
            if let peer = error.peer { fields[error.call.isListeners ? "address" : "peer"] = "\(peer)" }
            return fields
        case let error as TLSError:
            if let below = error.netError { return fields(of: below) }
            var fields: Logger.Metadata = [
                "call": .string("tls_\(error.call.rawValue)"), "error": .string(error.reasonInWords),
            ]
            if let peer = error.peer { fields["peer"] = "\(peer)" }
            return fields
        case let errno as SystemError:
            var fields: Logger.Metadata = ["errno": .stringConvertible(ErrnoName(errno: errno))]
            if let words = errno.words { fields["error"] = .string(words) }
            return fields
        default: return ["error": "\(error)"]
        }
    }

    /// One word for `error`, which programs that read the log can rely on.
    private static func token(of error: WaitError) -> String {
        switch error {
        case .deadlinePassed: "deadlinePassed"
        case .timedOut: "timedOut"
        case .cancelled: "cancelled"
        case .closed: "closed"
        case .resting: "resting"
        case .blockedForever: "blockedForever"
        case .deadlock: "deadlock"
        }
    }
}

/// An error number in the field `errno`, which has the name for programs; the field `error` has the words.
struct ErrnoName: CustomStringConvertible {
    let errno: SystemError

    var description: String { errno.name }
}

extension NetError.Call {
    fileprivate var isListeners: Bool { [.accept, .bind, .listen].contains(self) }
}

/// `bytes_in` of `bytesIn`.
func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
}
