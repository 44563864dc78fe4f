import Glibc
import GreenNet
import Logging

/// What each connection gets to itself.
enum Model: String, Sendable {
    case green, thread, process
}

/// What the server was told, each value checked.
@dynamicMemberLookup
struct Settings: Sendable {
    var host = "127.0.0.1"
    var port: UInt16 = 8080
    var unixSocket: String?
    /// Any of the above was given.
    private(set) var namesAddress = false
    var model = Model.green
    var workers = 1
    var processes: Int?
    var poolSize: Int?
    var bufferSize = 64 << 10
    var backlog = Listener.defaultBacklog
    var maxConnectionsPerIP: Int?
    var overflow = StreamServer.Overflow.defer
    var logLevel = Logger.Level.info
    var logFormat = LogFormat.auto
    var admin: AdminAddress?
    var live = Live()

    /// What a running server can take new values for.  Plain bits: they lie in memory that forked children share.
    struct Live: BitwiseCopyable, Sendable {
        var transform = Transform.upper
        var maxConnections: Int?
        var idleTimeout: Duration?
        var writeTimeout: Duration?
        var drainTimeout = Duration.seconds(10)
    }

    init() {}

    subscript<Value>(dynamicMember path: WritableKeyPath<Live, Value>) -> Value {
        get { live[keyPath: path] }
        set { live[keyPath: path] = newValue }
    }

    /// Throws `StartFailure`, which names the setting, where it was given, its value and what was expected.
    init(_ sources: SettingSources) throws(StartFailure) {
        for setting in Settings.all {
            guard let (text, origin) = sources.pick(setting.name) else { continue }
            guard setting.set(&self, text) else { throw origin.failure("'\(text)' is not \(setting.rule)") }
        }
        namesAddress = ["host", "port", "unix-socket"].contains { sources.pick($0) != nil }
        let others = model == .green ? ["pool-size"] : ["workers", "processes"]
        let rule = model == .green ? "goes with the models thread and process" : "goes with the model green"
        for (text, origin) in others.compactMap(sources.pick) {
            throw origin.failure("'\(text)' \(rule), not with \(model)")
        }
        try checkOverflow(sources)
    }

    /// The names of the limits without which one client could take all connections, and keep them, that were not set.
    var missingLimits: [String] {
        let limits = [
            ("max-connections-per-ip", maxConnectionsPerIP == nil), ("idle-timeout", live.idleTimeout == nil),
            ("write-timeout", live.writeTimeout == nil),
        ]
        return limits.filter(\.1).map(\.0)
    }

    /// In a pool of processes, who turns a client away is one of them: somebody must be left for it.
    private func checkOverflow(_ sources: SettingSources) throws(StartFailure) {
        guard model == .process, overflow == .reject, let poolSize, live.maxConnections ?? poolSize >= poolSize,
            let (text, origin) = sources.pick("overflow")
        else { return }
        throw origin.failure("'\(text)' goes with a pool of \(poolSize) processes only where max-connections is less")
    }
}

// MARK: - Each of them

/// One setting: its name, which values it takes, and how it shows.
struct Setting: Sendable {
    let name: String
    let rule: String
    /// False where the text is not such a value.
    let set: @Sendable (inout Settings, String) -> Bool
    let show: @Sendable (Settings) -> String

    init<Value>(
        _ name: String, _ path: WritableKeyPath<Settings, Value> & Sendable, _ rule: String,
        parse: @escaping @Sendable (String) -> Value?, show: @escaping @Sendable (Value) -> String = { "\($0)" }
    ) {
        (self.name, self.rule) = (name, rule)
        set = { settings, text in
            guard let value = parse(text) else { return false }
            settings[keyPath: path] = value
            return true
        }
        self.show = { show($0[keyPath: path]) }
    }
}

extension Settings {
    static let names = Set(all.map(\.name))

    static let all: [Setting] = [
        Setting("host", \.host, "a host name or an address", parse: { $0.isEmpty ? nil : $0 }),
        Setting("port", \.port, "a port, 0 to 65535", parse: { UInt16($0) }),
        Setting(
            "unix-socket", \.unixSocket, "the path of a unix socket, 1 to \(SocketAddress.longestUnixPath) bytes",
            parse: {
                (1...SocketAddress.longestUnixPath).contains($0.utf8.count) && $0 != "@" ? $0 : Optional<String?>.none
            },
            show: { $0 ?? "none" }),
        Setting("model", \.model, "green, thread or process", parse: { Model(rawValue: $0) }),
        Setting("transform", \.live.transform, "upper or echo", parse: { Transform(rawValue: $0) }),
        Setting(
            "workers", \.workers, "auto or a number from 1 to \(mostWorkers)",
            parse: { $0 == "auto" ? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) : number(1...mostWorkers)($0) }),
        optional("processes", \.processes, 1...mostWorkers),
        optional("pool-size", \.poolSize, 1...mostWorkers),
        Setting(
            "buffer-size", \.bufferSize, "a number from 1 to \(largestBuffer)", parse: number(1...largestBuffer)),
        Setting("backlog", \.backlog, "a number from 1 to \(Int32.max)", parse: number(1...Int(Int32.max))),
        optional("max-connections", \.live.maxConnections, 1...mostConnections),
        optional("max-connections-per-ip", \.maxConnectionsPerIP, 1...mostConnections),
        Setting("overflow", \.overflow, "defer or reject", parse: { .init(rawValue: $0) }),
        timeout("idle-timeout", \.live.idleTimeout),
        timeout("write-timeout", \.live.writeTimeout),
        Setting("drain-timeout", \.live.drainTimeout, secondsRule, parse: seconds, show: showSeconds),
        Setting("log-level", \.logLevel, "a level, trace to critical", parse: { Logger.Level(rawValue: $0) }),
        Setting("log-format", \.logFormat, "auto, text, json or journal", parse: { LogFormat(rawValue: $0) }),
        Setting(
            "admin", \.admin, "an address such as 127.0.0.1:9090 or [::1]:9090, or the path of a unix socket",
            parse: { AdminAddress($0).map { .some($0) } ?? .none }, show: { $0.map { "\($0)" } ?? "none" }),
    ]

    /// The largest receive buffer: more has no use, and would let a typing error take the machine's memory.
    static let largestBuffer = 16 << 20
    static let mostWorkers = 1024
    static let mostConnections = 10_000_000
    private static let secondsRule = "a number of seconds, 0 or more"

    private static func number(_ range: ClosedRange<Int>) -> @Sendable (String) -> Int? {
        { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }
    }

    private static func optional(
        _ name: String, _ path: WritableKeyPath<Settings, Int?> & Sendable, _ range: ClosedRange<Int>
    ) -> Setting {
        Setting(
            name, path, "a number from \(range.lowerBound) to \(range.upperBound)",
            parse: { text in number(range)(text).map { .some($0) } ?? .none },
            show: { $0.map { "\($0)" } ?? "none" })
    }

    /// 0 stands for none.
    private static func timeout(_ name: String, _ path: WritableKeyPath<Settings, Duration?> & Sendable) -> Setting {
        Setting(
            name, path, secondsRule, parse: { seconds($0).map { $0 == .zero ? .none : .some($0) } },
            show: { showSeconds($0 ?? .zero) })
    }

    /// Fractions are allowed, hexadecimal is not; a thousand years stand for ever.
    @Sendable
    static func seconds(_ text: String) -> Duration? {
        guard !text.lowercased().contains("x"), let number = Double(text), number >= 0, number.isFinite else {
            return nil
        }
        return .seconds(min(number, 31_536_000_000))
    }

    @Sendable
    private static func showSeconds(_ length: Duration) -> String {
        let (seconds, attoseconds) = length.components
        return attoseconds == 0 ? "\(seconds)" : "\(Double(seconds) + Double(attoseconds) / 1e18)"
    }
}
