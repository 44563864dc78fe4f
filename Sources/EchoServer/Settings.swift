import GreenNet
import Logging

/// What the server was told: an option before the environment before the default, each checked.
struct Settings {
    var host = "127.0.0.1"
    var port: UInt16 = 8080
    var unixSocket: String?
    var transform = Transform.upper
    var bufferSize = 64 << 10
    var backlog = Listener.defaultBacklog
    var drainTimeout = Duration.seconds(10)
    var logLevel = Logger.Level.info

    /// The largest receive buffer: more has no use, and would let a typing error take the machine's memory.
    static let largestBuffer = 16 << 20

    init() {}

    /// Throws `StartFailure`, which names the setting, its value and what was expected.
    init(_ options: Options, environment: Environment) throws(StartFailure) {
        func read<Value>(
            _ given: String?, _ name: String, _ expected: String, into target: inout Value, _ parse: (String) -> Value?
        ) throws(StartFailure) {
            guard let (text, origin) = environment.pick(given, name) else { return }
            guard let value = parse(text) else { throw origin.failure("'\(text)' is not \(expected)") }
            target = value
        }
        try read(options.host, "host", "a host name or an address", into: &host) { $0.isEmpty ? nil : $0 }
        try read(options.port, "port", "a port, 0 to 65535", into: &port) { UInt16($0) }
        try read(options.unixSocket, "unix-socket", Settings.unixPathRule, into: &unixSocket, Settings.unixPath)
        try read(options.transform, "transform", "upper or echo", into: &transform) { Transform(rawValue: $0) }
        try read(
            options.bufferSize, "buffer-size", "a number of bytes, 1 to \(Settings.largestBuffer)", into: &bufferSize
        ) {
            Int($0).flatMap { (1...Settings.largestBuffer).contains($0) ? $0 : nil }
        }
        try read(options.backlog, "backlog", "a number from 1 to \(Int32.max)", into: &backlog) {
            Int($0).flatMap { (1...Int(Int32.max)).contains($0) ? $0 : nil }
        }
        try read(options.drainTimeout, "drain-timeout", "a number of seconds", into: &drainTimeout, Settings.seconds)
        try read(options.logLevel, "log-level", "a level, trace to critical", into: &logLevel) {
            Logger.Level(rawValue: $0)
        }
    }

    private static let unixPathRule = "the path of a unix socket, 1 to \(SocketAddress.longestUnixPath) bytes"

    private static func unixPath(_ text: String) -> String?? {
        text.isEmpty || text.utf8.count > SocketAddress.longestUnixPath ? .none : .some(text)
    }

    /// Fractions are allowed; a thousand years stand for ever.
    static func seconds(_ text: String) -> Duration? {
        guard let number = Double(text), number >= 0, number.isFinite else { return nil }
        return .seconds(min(number, 31_536_000_000))
    }
}
