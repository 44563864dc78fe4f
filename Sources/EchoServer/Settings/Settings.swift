import Glibc
import GreenNet
import Logging
import ProgramKit

/// The settings of the server, each value checked.
@dynamicMemberLookup
struct Settings: Sendable {
    var host = "127.0.0.1"
    var port: UInt16 = 8080
    var unixSocket: String?
    var unixSocketAccess = SocketAccess()
    /// Whether to listen on an address that the machine does not have yet.
    var freebind = false
    var socket = SocketSettings()
    var faults = FaultSettings()
    var services = ServiceSettings()
    /// Where the next instance asks for the listeners; nil where none can.
    var takeOver: String?
    /// Empty where host, port and unix-socket count.
    var listen: [ListenEntry] = []
    /// Whether host, port or unix-socket was given.
    private(set) var namesAddress = false
    var model = ModelKind.all[0]
    var workers = 1
    var processes: Int?
    var pool: PoolSize?
    /// Nil for never.
    var workerTimeout: Duration? = .seconds(10)
    var bufferSize = 64 << 10
    var backlog = Listener.defaultBacklog
    var maxConnectionsPerIP: Int?
    var overflow = StreamServer.Overflow.defer
    var logFormat = LogFormat.auto
    var admin: Endpoint?
    var adminAccess = SocketAccess()
    /// Paths of files in PEM; nil where the service speaks no TLS.
    var tlsCertificate: String?
    var tlsKey: String?
    var tlsClientCA: String?
    /// Nil where nothing is sent first.
    var banner: Banner?
    /// Nil where no records are written.
    var record: RecordPlace?
    var clients = ClientPolicy()
    var proxy = ProxySettings()
    var live = Live()

    /// The settings that a reload changes.  Plain bits, in memory that forked children share.
    struct Live: BitwiseCopyable, Sendable {
        var transform = Transform.upper
        var maxConnections: Int?
        var idleTimeout: Duration?
        var writeTimeout: Duration?
        /// How long a TLS handshake may take; nil for ever.
        var handshakeTimeout: Duration? = .seconds(10)
        /// How long the header of a proxy may take; nil for ever.
        var proxyTimeout: Duration? = .seconds(3)
        var drainTimeout = Duration.seconds(10)
        /// For how long the service accepts after a first TERM, and says that it is not ready.
        var lameDuck = Duration.zero
        /// As a number: a `Logger.Level` is not known to be plain bits.
        private var logLevelNumber = UInt8(Logger.Level.allCases.firstIndex(of: .info)!)

        var logLevel: Logger.Level {
            get { Logger.Level.allCases[Int(logLevelNumber)] }
            set { logLevelNumber = UInt8(Logger.Level.allCases.firstIndex(of: newValue)!) }
        }
    }

    init() {}

    subscript<Value>(dynamicMember path: WritableKeyPath<Live, Value>) -> Value {
        get { live[keyPath: path] }
        set { live[keyPath: path] = newValue }
    }

    /// Throws a `StartFailure` that names the setting, where it was given, its value and what was expected.
    init(_ sources: SettingSources) throws(StartFailure) {
        for setting in Settings.all {
            guard let (text, origin) = sources.pick(setting.name) else { continue }
            guard setting.set(&self, text) else {
                let reason = setting.reason(text).map { ": \($0)" } ?? ""
                throw origin.failure("'\(text)' is not \(setting.rule)\(reason)")
            }
        }
        namesAddress = ["host", "port", "unix-socket", "listen"].contains { sources.pick($0) != nil }
        for option in ModelKind.Option.allCases where !model.options.contains(option) {
            guard let (text, origin) = sources.pick(option.rawValue) else { continue }
            throw origin.failure(model.complaint(about: option, text))
        }
        try checkOverflow(sources)
        try checkSums(sources)
        try checkAccess(sources)
        try checkTLS(sources)
        try ListenSettings.check(self, sources)
        try SocketSettings.check(self, sources)
        try ServiceSettings.check(self, sources)
    }

    /// Nil where the service speaks no TLS.
    var tlsFiles: ServerTLS.Files? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return ServerTLS.Files(certificate: tlsCertificate, key: tlsKey, clientAuthorities: tlsClientCA)
    }

    /// Certificate and key go together, and clients are asked for certificates over TLS only.
    private func checkTLS(_ sources: SettingSources) throws(StartFailure) {
        let given = ["tls-certificate", "tls-key", "tls-client-ca"].filter { sources.pick($0) != nil }
        for missing in ["tls-certificate", "tls-key"] where !given.isEmpty && !given.contains(missing) {
            let (text, origin) = sources.pick(given[0])!
            throw origin.failure("'\(text)' needs \(missing) too")
        }
    }

    /// How these settings spread the service over hubs and processes.
    var arrangement: Arrangement { model.arrangement(self) }

    /// Where to listen, unless a service manager passes sockets in.
    var endpoint: Endpoint { unixSocket.map { .unix(path: $0) } ?? .host(host, port: port) }

    /// The names of those limits that are not set without which one client could take and keep all connections.
    var missingLimits: [String] {
        let limits = [
            ("max-connections-per-ip", maxConnectionsPerIP == nil), ("idle-timeout", live.idleTimeout == nil),
            ("write-timeout", live.writeTimeout == nil),
        ]
        return limits.filter(\.1).map(\.0)
    }

    /// The most contexts that a pool has; nil where there is none.
    var poolSize: Int? { pool?.most }

    /// Checks the products of two settings, each of which is in its own range.
    private func checkSums(_ sources: SettingSources) throws(StartFailure) {
        let hubs = workers * (processes ?? 1)
        if hubs > NumericOptions.Server.mostHubs, let (text, origin) = sources.pick("workers") {
            throw origin.failure(
                "'\(text)' in each of \(processes ?? 1) processes makes \(hubs) hubs; at most \(NumericOptions.Server.mostHubs) are allowed"
            )
        }
        let memory = bufferSize * (poolSize ?? 1)
        if memory > NumericOptions.Server.mostPoolMemory, let (text, origin) = sources.pick("buffer-size") {
            throw origin.failure(
                "'\(text)' for each of \(poolSize ?? 1) in the pool makes \(memory) bytes; at most \(NumericOptions.Server.mostPoolMemory) are allowed"
            )
        }
    }

    /// Refuses permissions for an abstract socket, which has none: all users may connect to it.
    private func checkAccess(_ sources: SettingSources) throws(StartFailure) {
        var paths = [("unix-socket", unixSocket)] + abstractPlaces.map { ("unix-socket", $0) }
        if case .unix(let path)? = admin { paths.append(("admin", path)) }
        for (prefix, path) in paths {
            guard let path, path.hasPrefix("@") else { continue }
            for (text, origin) in ["mode", "owner", "group"].compactMap({ sources.pick("\(prefix)-\($0)") }) {
                throw origin.failure("'\(text)' needs a path: the abstract socket \(path) has no permissions")
            }
        }
    }

    /// The places of `--listen`, where all that are unix sockets are abstract.
    private var abstractPlaces: [String?] {
        let paths = streamEntries.compactMap { if case .unix(let path) = $0.endpoint { path } else { nil } }
        return paths.allSatisfy { $0.hasPrefix("@") } ? paths : []
    }

    /// In a pool of processes, a process that has no client rejects further ones: there must be one left.
    private func checkOverflow(_ sources: SettingSources) throws(StartFailure) {
        guard case .poolProcesses(let count) = arrangement, overflow == .reject, live.maxConnections ?? count >= count,
            let (text, origin) = sources.pick("overflow")
        else { return }
        throw origin.failure("'\(text)' with a pool of \(count) processes needs max-connections below \(count)")
    }
}

// MARK: - Each of them

/// One setting: its name, the values that it takes, and how a value is shown.
struct Setting: Sendable {
    let name: String
    let rule: String
    /// False where the text is not such a value.
    let set: @Sendable (inout Settings, String) -> Bool
    /// Why a text is not such a value, where there is more to say than the rule.
    let reason: @Sendable (String) -> String?
    let show: @Sendable (Settings) -> String

    init<Value>(
        _ name: String, _ path: WritableKeyPath<Settings, Value> & Sendable, _ rule: String,
        parse: @escaping @Sendable (String) -> Value?, reason: @escaping @Sendable (String) -> String? = { _ in nil },
        show: @escaping @Sendable (Value) -> String = { "\($0)" }
    ) {
        (self.name, self.rule, self.reason) = (name, rule, reason)
        set = { settings, text in
            guard let value = parse(text) else { return false }
            settings[keyPath: path] = value
            return true
        }
        self.show = { show($0[keyPath: path]) }
    }

    /// 0 means no timeout.
    static func timeout(
        _ path: WritableKeyPath<Settings, Duration?> & Sendable, _ option: NumericOption<Duration>
    ) -> Setting {
        Setting(
            option.name, path, option.rule,
            parse: { option.value(of: $0).map { $0 == .zero ? .none : .some($0) } },
            show: { ($0 ?? .zero).optionText })
    }
}

extension Setting {
    /// One of which `set` changes a part only.
    init(
        _ name: String, _ rule: String, set: @escaping @Sendable (inout Settings, String) -> Bool,
        show: @escaping @Sendable (Settings) -> String
    ) {
        (self.name, self.rule, self.set, self.show) = (name, rule, set, show)
        reason = { _ in nil }
    }
}

extension Settings {
    static let names = Set(all.map(\.name))

    static let all =
        basic + BannerOptions.all + RecordPlace.all + ClientPolicy.all + ProxySettings.all + SocketSettings.all
        + FaultSettings.all + ServiceSettings.all + ListenSettings.all + [takeOverSetting]

    private static let basic: [Setting] = [
        Setting(
            "host", \.host, "a host name or an address", parse: { try? Endpoint.host(parsing: $0) },
            reason: reason(Endpoint.host)),
        Setting(
            "port", \.port, Numbers.port.rule, parse: { Numbers.port.value(of: $0).map { UInt16($0) } }),
        Setting(
            "unix-socket", \.unixSocket, "the path of a unix socket, 1 to \(SocketAddress.longestUnixPath) bytes",
            parse: { (try? Endpoint.unixPath(parsing: $0)).map { .some($0) } ?? .none }, show: { $0 ?? "none" }),
        mode("unix-socket-mode", \.unixSocketAccess.mode),
        account("unix-socket-owner", \.unixSocketAccess.owner, .user),
        account("unix-socket-group", \.unixSocketAccess.group, .group),
        Setting(
            "freebind", \.freebind, "yes or no", parse: { ["yes": true, "no": false][$0] }, show: { $0 ? "yes" : "no" }),
        Setting("model", \.model, ModelKind.names, parse: { ModelKind(name: $0) }),
        Setting("transform", \.live.transform, Transform.names, parse: { Transform(rawValue: $0) }),
        Setting(
            "workers", \.workers, "auto or \(Numbers.workers.rule)",
            parse: { $0 == "auto" ? HubCount.perCore.number : Numbers.workers.value(of: $0) }),
        optional(\.processes, Numbers.processes),
        Setting(
            "pool-size", \.pool, PoolSize.rule, parse: { PoolSize(parsing: $0).map { .some($0) } ?? .none },
            show: { $0.map { "\($0)" } ?? "none" }),
        Setting.timeout(\.workerTimeout, Numbers.workerTimeout),
        required(\.bufferSize, Numbers.bufferSize),
        required(\.backlog, Numbers.backlog),
        optional(\.live.maxConnections, Numbers.maxConnections),
        optional(\.maxConnectionsPerIP, Numbers.maxConnectionsPerIP),
        Setting("overflow", \.overflow, "defer or reject", parse: { .init(rawValue: $0) }),
        Setting.timeout(\.live.idleTimeout, Numbers.idleTimeout),
        Setting.timeout(\.live.writeTimeout, Numbers.writeTimeout),
        required(\.live.drainTimeout, Numbers.drainTimeout),
        required(\.live.lameDuck, Numbers.lameDuck),
        file("tls-certificate", \.tlsCertificate),
        file("tls-key", \.tlsKey),
        file("tls-client-ca", \.tlsClientCA),
        Setting.timeout(\.live.handshakeTimeout, Numbers.handshakeTimeout),
        Setting("log-level", \.live.logLevel, "a level, trace to critical", parse: { Logger.Level(rawValue: $0) }),
        Setting("log-format", \.logFormat, "auto, text, json or journal", parse: { LogFormat(rawValue: $0) }),
        Setting(
            "admin", \.admin, "an address such as 127.0.0.1:9090 or [::1]:9090, or the path of a unix socket",
            parse: { (try? Endpoint(parsing: $0)).map { .some($0) } ?? .none },
            reason: reason(endpoint),
            show: { $0.map { "\($0)" } ?? "none" }),
        mode("admin-mode", \.adminAccess.mode),
        account("admin-owner", \.adminAccess.owner, .user),
        account("admin-group", \.adminAccess.group, .group),
    ]

    private typealias Numbers = NumericOptions.Server

    @Sendable
    private static func endpoint(_ text: String) throws(AddressError) -> Endpoint { try Endpoint(parsing: text) }

    /// Why `parse` refuses a text; nil where it does not.
    private static func reason<Value>(
        _ parse: @escaping @Sendable (String) throws(AddressError) -> Value
    ) -> @Sendable (String) -> String? {
        { text in
            do throws(AddressError) {
                _ = try parse(text)
                return nil
            } catch {
                return switch error.reason {
                case .unexpectedPort: "the port goes to --port"
                case .path: "a path goes to --unix-socket"
                default: "\(error.reason)"
                }
            }
        }
    }

    static func required<Number>(
        _ path: WritableKeyPath<Settings, Number> & Sendable, _ option: NumericOption<Number>
    ) -> Setting {
        Setting(option.name, path, option.rule, parse: { option.value(of: $0) }, show: { $0.optionText })
    }

    static func optional<Number>(
        _ path: WritableKeyPath<Settings, Number?> & Sendable, _ option: NumericOption<Number>
    ) -> Setting {
        Setting(
            option.name, path, option.rule, parse: { text in option.value(of: text).map { .some($0) } ?? .none },
            show: { $0?.optionText ?? "none" })
    }

    /// 0 means none.
    static func optionalOrZero(
        _ path: WritableKeyPath<Settings, Int?> & Sendable, _ option: NumericOption<Int>
    ) -> Setting {
        Setting(
            option.name, path, option.rule, parse: { option.value(of: $0).map { $0 == 0 ? .none : .some($0) } },
            show: { "\($0 ?? 0)" })
    }

    private static func file(_ name: String, _ path: WritableKeyPath<Settings, String?> & Sendable) -> Setting {
        Setting(
            name, path, "the path of a file, 1 to \(longestPath) bytes",
            parse: { (1...longestPath).contains($0.utf8.count) ? $0 : Optional<String?>.none }, show: { $0 ?? "none" })
    }

    /// The kernel's PATH_MAX, without the end.
    private static let longestPath = 4095

    private static func mode(_ name: String, _ path: WritableKeyPath<Settings, mode_t?> & Sendable) -> Setting {
        Setting(
            name, path, "an octal mode, 0 to 0777", parse: { SocketAccess.mode($0).map { .some($0) } ?? .none },
            show: { $0.map(SocketAccess.show) ?? "by the umask" })
    }

    private static func account(
        _ name: String, _ path: WritableKeyPath<Settings, String?> & Sendable, _ kind: Account
    ) -> Setting {
        Setting(
            name, path, "a \(kind)'s name, or its number, 0 to \(Account.largestNumber)",
            parse: { Account.isWellFormed($0) ? $0 : Optional<String?>.none }, show: { $0 ?? "none" })
    }
}
