import Glibc
import GreenNet
import Logging

/// What each connection gets to itself.
enum Model: String {
    case green, thread, process
}

/// What the server was told: an option before the environment before the default, each checked.
struct Settings {
    var host = "127.0.0.1"
    var port: UInt16 = 8080
    var unixSocket: String?
    /// Any of the above was given.
    var namesAddress = false
    var model = Model.green
    var transform = Transform.upper
    var workers = 1
    var processes: Int?
    var poolSize: Int?
    var bufferSize = 64 << 10
    var backlog = Listener.defaultBacklog
    var maxConnections: Int?
    var maxConnectionsPerIP: Int?
    var overflow = StreamServer.Overflow.defer
    var idleTimeout: Duration?
    var writeTimeout: Duration?
    var drainTimeout = Duration.seconds(10)
    var logLevel = Logger.Level.info
    var logFormat = LogFormat.auto

    /// The largest receive buffer: more has no use, and would let a typing error take the machine's memory.
    static let largestBuffer = 16 << 20
    static let mostWorkers = 1024
    static let mostConnections = 10_000_000

    init() {}

    /// Throws `StartFailure`, which names the setting, its value and what was expected.
    init(_ options: Options, environment: Environment) throws(StartFailure) {
        try readAddress(options, environment)
        try readModel(options, environment)
        try readLimits(options, environment)
        try read(options.transform, "transform", environment, "upper or echo", &transform) { Transform(rawValue: $0) }
        try read(options.logLevel, "log-level", environment, "a level, trace to critical", &logLevel) {
            Logger.Level(rawValue: $0)
        }
        try read(options.logFormat, "log-format", environment, "auto, text, json or journal", &logFormat) {
            LogFormat(rawValue: $0)
        }
        try checkCombination()
    }

    private mutating func readAddress(_ options: Options, _ environment: Environment) throws(StartFailure) {
        namesAddress = [(options.host, "host"), (options.port, "port"), (options.unixSocket, "unix-socket")]
            .contains { environment.pick($0, $1) != nil }
        try read(options.host, "host", environment, "a host name or an address", &host) { $0.isEmpty ? nil : $0 }
        try read(options.port, "port", environment, "a port, 0 to 65535", &port) { UInt16($0) }
        let pathRule = "the path of a unix socket, 1 to \(SocketAddress.longestUnixPath) bytes"
        try read(options.unixSocket, "unix-socket", environment, pathRule, &unixSocket) { text in
            (1...SocketAddress.longestUnixPath).contains(text.utf8.count) ? .some(text) : .none
        }
        try readNumber(options.backlog, "backlog", environment, 1...Int(Int32.max), &backlog)
    }

    private mutating func readModel(_ options: Options, _ environment: Environment) throws(StartFailure) {
        try read(options.model, "model", environment, "green, thread or process", &model) { Model(rawValue: $0) }
        let some = 1...Settings.mostWorkers
        try read(options.workers, "workers", environment, "auto or a number from 1 to \(some.upperBound)", &workers) {
            text in
            text == "auto" ? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) : Settings.number(text, in: some)
        }
        try readNumber(options.processes, "processes", environment, some, &processes)
        try readNumber(options.poolSize, "pool-size", environment, some, &poolSize)
    }

    private mutating func readLimits(_ options: Options, _ environment: Environment) throws(StartFailure) {
        let some = 1...Settings.mostConnections
        try readNumber(options.bufferSize, "buffer-size", environment, 1...Settings.largestBuffer, &bufferSize)
        try readNumber(options.maxConnections, "max-connections", environment, some, &maxConnections)
        try readNumber(options.maxConnectionsPerIp, "max-connections-per-ip", environment, some, &maxConnectionsPerIP)
        try read(options.overflow, "overflow", environment, "defer or reject", &overflow) { .init(rawValue: $0) }
        try read(options.idleTimeout, "idle-timeout", environment, Settings.secondsRule, &idleTimeout, Settings.timeout)
        try read(
            options.writeTimeout, "write-timeout", environment, Settings.secondsRule, &writeTimeout, Settings.timeout)
        try read(
            options.drainTimeout, "drain-timeout", environment, Settings.secondsRule, &drainTimeout, Settings.seconds)
    }

    private func checkCombination() throws(StartFailure) {
        if model != .green, workers != 1 || processes != nil {
            throw StartFailure(.usage, "--workers and --processes go with --model green, not with \(model)")
        }
        if model == .green, let poolSize {
            throw StartFailure(.usage, "--pool-size \(poolSize) goes with --model thread or process, not with green")
        }
    }

    // MARK: Reading one

    private func read<Value>(
        _ given: String?, _ name: String, _ environment: Environment, _ expected: String, _ target: inout Value,
        _ parse: (String) -> Value?
    ) throws(StartFailure) {
        guard let (text, origin) = environment.pick(given, name) else { return }
        guard let value = parse(text) else { throw origin.failure("'\(text)' is not \(expected)") }
        target = value
    }

    private func readNumber(
        _ given: String?, _ name: String, _ environment: Environment, _ range: ClosedRange<Int>, _ target: inout Int
    ) throws(StartFailure) {
        let expected = "a number from \(range.lowerBound) to \(range.upperBound)"
        try read(given, name, environment, expected, &target) { Settings.number($0, in: range) }
    }

    private func readNumber(
        _ given: String?, _ name: String, _ environment: Environment, _ range: ClosedRange<Int>, _ target: inout Int?
    ) throws(StartFailure) {
        var number = target ?? range.lowerBound
        guard environment.pick(given, name) != nil else { return }
        try readNumber(given, name, environment, range, &number)
        target = number
    }

    private static func number(_ text: String, in range: ClosedRange<Int>) -> Int? {
        Int(text).flatMap { range.contains($0) ? $0 : nil }
    }

    private static let secondsRule = "a number of seconds, 0 or more"

    /// Fractions are allowed; a thousand years stand for ever.
    static func seconds(_ text: String) -> Duration? {
        guard let number = Double(text), number >= 0, number.isFinite else { return nil }
        return .seconds(min(number, 31_536_000_000))
    }

    /// 0 stands for none.
    private static func timeout(_ text: String) -> Duration?? { seconds(text).map { $0 == .zero ? nil : $0 } }
}
