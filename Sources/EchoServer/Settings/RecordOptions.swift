import ArgumentParser
import GreenNet

/// The option of records.
struct RecordOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Write a line of JSON for each connection, at its end, to a file, or to a datagram socket as unix:PATH (default: none).",
            valueName: "place"))
    var record: String?

    /// The options that were given, by their names.
    var given: [String: String?] { ["record": record] }
}

/// Where records of connections go.
enum RecordPlace: Equatable, Sendable {
    case file(String)
    /// A datagram socket that another program reads.
    case socket(path: String)

    static let rule =
        "the path of a file, or unix: and the path of a socket, 1 to \(SocketAddress.longestUnixPath) bytes"
    private static let socketPrefix = "unix:"
    /// The kernel's PATH_MAX, without the end.
    private static let longestPath = 4095

    /// Nil where the text is no place.
    init?(_ text: String) {
        if text.hasPrefix(RecordPlace.socketPrefix) {
            guard let path = try? Endpoint.unixPath(parsing: String(text.dropFirst(RecordPlace.socketPrefix.count)))
            else {
                return nil
            }
            self = .socket(path: path)
        } else {
            guard (1...RecordPlace.longestPath).contains(text.utf8.count) else { return nil }
            self = .file(text)
        }
    }

    static let all: [Setting] = [
        Setting(
            "record", \.record, RecordPlace.rule, parse: { RecordPlace($0).map { .some($0) } ?? .none },
            show: { $0.map { "\($0)" } ?? "none" })
    ]
}

extension RecordPlace: CustomStringConvertible {
    var description: String {
        switch self {
        case .file(let path): path
        case .socket(let path): RecordPlace.socketPrefix + path
        }
    }
}
