import GreenNet
import Logging
import Testing

@testable import EchoServer

@Suite struct SettingsTests {
    private func settings(_ arguments: [String] = [], environment: [String: String] = [:]) throws -> Settings {
        try Settings(parsing: arguments, environment: environment)
    }

    @Test func `with nothing given, the defaults count`() throws {
        let settings = try settings()
        #expect(settings.host == "127.0.0.1")
        #expect(settings.port == 8080)
        #expect(settings.unixSocket == nil)
        #expect(settings.model == .green)
        #expect(settings.transform == .upper)
        #expect(settings.workers == 1)
        #expect(settings.processes == nil)
        #expect(settings.poolSize == nil)
        #expect(settings.workerTimeout == .seconds(10))
        #expect(settings.bufferSize == 65_536)
        #expect(settings.backlog == 4096)
        #expect(settings.maxConnections == nil)
        #expect(settings.maxConnectionsPerIP == nil)
        #expect(settings.overflow == .defer)
        #expect(settings.idleTimeout == nil)
        #expect(settings.writeTimeout == nil)
        #expect(settings.drainTimeout == .seconds(10))
        #expect(settings.lameDuck == .zero)
        #expect(settings.logLevel == .info)
        #expect(settings.logFormat == .auto)
        #expect(settings.unixSocketAccess == SocketAccess())
        #expect(settings.adminAccess == SocketAccess())
        #expect(!settings.freebind)
    }

    @Test func `an option can forbid what the environment allows`() throws {
        let environment = ["ECHO_SERVER_FREEBIND": "yes"]
        #expect(try settings(environment: environment).freebind)
        #expect(try !settings(["--no-freebind"], environment: environment).freebind)
    }

    @Test(arguments: ["mode", "owner", "group"])
    func `an abstract socket has no permissions, and to ask for some is refused`(what: String) {
        for (prefix, option) in [("unix-socket", "--unix-socket"), ("admin", "--admin")] {
            let failure = #expect(throws: StartFailure.self) {
                try settings(["\(option)=@x", "--\(prefix)-\(what)=0"])
            }
            #expect(failure?.status == .usage)
            #expect(
                failure?.message
                    == "--\(prefix)-\(what): '0' needs a path: the abstract socket @x has no permissions")
            #expect(throws: Never.self) { try settings(["\(option)=/x", "--\(prefix)-\(what)=0"]) }
        }
    }

    private static let all = [
        "host": "::1", "port": "7", "unix-socket": "/run/echo.sock", "model": "thread", "transform": "echo",
        "pool-size": "3", "worker-timeout": "2.5", "buffer-size": "1024", "backlog": "16", "max-connections": "100",
        "max-connections-per-ip": "5", "overflow": "reject", "idle-timeout": "60", "write-timeout": "1.5",
        "drain-timeout": "0.5", "lame-duck": "5", "log-level": "debug", "log-format": "journal",
        "admin": "[::1]:9090", "unix-socket-mode": "0640", "unix-socket-owner": "root", "unix-socket-group": "7",
        "admin-mode": "600", "admin-owner": "0", "admin-group": "adm", "freebind": "yes",
        "tls-certificate": "/c.pem", "tls-key": "/k.pem", "tls-client-ca": "/a.pem", "handshake-timeout": "2.5",
        "keepalive": "off",
    ]

    @Test func `every setting can be an option`() throws {
        expectAllSet(try settings(SettingsTests.all.map { $0 == "freebind" ? "--freebind" : "--\($0)=\($1)" }))
    }

    @Test func `every setting can be in the environment`() throws {
        let variables = SettingsTests.all.map { (SettingsTests.variable($0), $1) }
        expectAllSet(try settings(environment: Dictionary(uniqueKeysWithValues: variables)))
    }

    private static func variable(_ name: String) -> String {
        "ECHO_SERVER_" + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
    }

    private func expectAllSet(_ settings: Settings) {
        #expect(settings.host == "::1")
        #expect(settings.port == 7)
        #expect(settings.unixSocket == "/run/echo.sock")
        #expect(settings.model == .thread)
        #expect(settings.transform == .echo)
        #expect(settings.poolSize == 3)
        #expect(settings.workerTimeout == .milliseconds(2500))
        #expect(settings.bufferSize == 1024)
        #expect(settings.backlog == 16)
        #expect(settings.maxConnections == 100)
        #expect(settings.maxConnectionsPerIP == 5)
        #expect(settings.overflow == .reject)
        #expect(settings.idleTimeout == .seconds(60))
        #expect(settings.writeTimeout == .milliseconds(1500))
        #expect(settings.drainTimeout == .milliseconds(500))
        #expect(settings.lameDuck == .seconds(5))
        #expect(settings.logLevel == .debug)
        #expect(settings.logFormat == .journal)
        #expect(settings.admin == .host("::1", port: 9090))
        #expect(settings.unixSocketAccess == SocketAccess(mode: 0o640, owner: "root", group: "7"))
        #expect(settings.adminAccess == SocketAccess(mode: 0o600, owner: "0", group: "adm"))
        #expect(settings.freebind)
        #expect(
            settings.tlsFiles
                == ServerTLS.Files(certificate: "/c.pem", key: "/k.pem", clientAuthorities: "/a.pem"))
        #expect(settings.handshakeTimeout == .milliseconds(2500))
        #expect(settings.socket.keepAlive == nil)
    }

    @Test func `TLS needs a certificate and a key, and a handshake has ten seconds unless the settings say otherwise`()
        throws
    {
        #expect(try settings([]).tlsFiles == nil)
        #expect(try settings([]).handshakeTimeout == .seconds(10))
        #expect(try settings(["--handshake-timeout=0"]).handshakeTimeout == nil)
        for (given, missing) in [
            ("certificate", "key"), ("key", "certificate"), ("client-ca", "certificate"),
        ] {
            let failure = #expect(throws: StartFailure.self) { try settings(["--tls-\(given)=/x"]) }
            #expect(failure?.status == .usage)
            #expect(failure?.message == "--tls-\(given): '/x' needs tls-\(missing) too")
        }
    }

    @Test func `green threads have workers and processes`() throws {
        let settings = try settings(["--workers", "3", "--processes", "2"])
        #expect(settings.workers == 3)
        #expect(settings.processes == 2)
    }

    @Test func `settings keep whether an address was named`() throws {
        try #expect(!settings(["--model", "thread"]).namesAddress)
        try #expect(settings(["--port", "8080"]).namesAddress)
        try #expect(settings(environment: ["ECHO_SERVER_HOST": "::1"]).namesAddress)
    }

    @Test(arguments: [
        (["--model", "thread", "--workers", "2"], "--workers: '2' needs the model green, not thread"),
        (["--model", "process", "--processes", "2"], "--processes: '2' needs the model green, not process"),
        (["--model", "thread", "--workers", "1"], "--workers: '1' needs the model green, not thread"),
        (["--pool-size", "4"], "--pool-size: '4' needs the model thread or process, not green"),
        (
            ["--model", "process", "--pool-size", "4", "--overflow", "reject"],
            "--overflow: 'reject' with a pool of 4 processes needs max-connections below 4"
        ),
        (
            ["--model", "process", "--pool-size", "4", "--overflow", "reject", "--max-connections", "4"],
            "--overflow: 'reject' with a pool of 4 processes needs max-connections below 4"
        ),
    ])
    func `options that exclude each other end with status 64`(arguments: [String], message: String) {
        let failure = #expect(throws: StartFailure.self) { try settings(arguments) }
        #expect(failure?.status == .usage)
        #expect(failure?.message == message)
    }

    @Test func `a pool can reject connections if it has a process left for that`() throws {
        let options = ["--model", "process", "--pool-size", "4", "--max-connections", "3", "--overflow", "reject"]
        try #expect(settings(options).overflow == .reject)
    }

    @Test func `variables that exclude an option end with status 78`() {
        let failure = #expect(throws: StartFailure.self) {
            try settings(["--model", "thread"], environment: ["ECHO_SERVER_WORKERS": "2"])
        }
        #expect(failure?.status == .configuration)
        #expect(failure?.message == "ECHO_SERVER_WORKERS: '2' needs the model green, not thread")
    }

    @Test(arguments: ["idle-timeout", "write-timeout"])
    func `0 seconds mean no timeout`(name: String) throws {
        let settings = try settings(["--\(name)", "0"])
        #expect(settings.idleTimeout == nil)
        #expect(settings.writeTimeout == nil)
    }

    @Test func `0 seconds mean that workers are left alone`() throws {
        #expect(try settings(["--worker-timeout", "0"]).workerTimeout == nil)
    }

    @Test func `an option comes before the environment, and the environment before the default`() throws {
        let environment = ["ECHO_SERVER_PORT": "7777", "ECHO_SERVER_TRANSFORM": "echo"]
        let settings = try settings(["--port", "9"], environment: environment)
        #expect(settings.port == 9)
        #expect(settings.transform == .echo)
        #expect(settings.backlog == 4096)
    }

    @Test func `a bad variable does not matter where the option is given`() throws {
        #expect(try settings(["--port", "9"], environment: ["ECHO_SERVER_PORT": "nine"]).port == 9)
    }

    // MARK: Bad values

    struct BadValue: CustomTestStringConvertible {
        let name: String
        let value: String
        let expected: String

        var testDescription: String { "\(name)=\(value.prefix(20))" }

        /// A value that begins with a dash must follow `=`, and an empty value must be an argument of its own.
        var arguments: [String] { value.isEmpty ? ["--\(name)", ""] : ["--\(name)=\(value)"] }

        var variable: String { SettingsTests.variable(name) }

        private static func each(_ values: [String], of name: String, _ expected: String) -> [BadValue] {
            values.map { BadValue(name: name, value: $0, expected: expected) }
        }

        static let all =
            each([""], of: "host", "a host name or an address: the host is missing")
            + each(
                ["127.0.0.1:80", "[::1]:80", "localhost:80"], of: "host",
                "a host name or an address: the port goes to --port")
            + each(
                ["fe80::1", "[fe80::1]"], of: "host",
                "a host name or an address: \(AddressError.Reason.missingInterface)")
            + each(
                ["999.1.1.1", "0177.0.0.1", "1.2.3", "0x7f.1"], of: "host",
                "a host name or an address: \(AddressError.Reason.badIPv4)")
            + each(
                ["/run/x", "unix:/run/x", "@x"], of: "host", "a host name or an address: a path goes to --unix-socket")
            + each(["65536", "-1", "http", "80 ", "8.0", ""], of: "port", "a whole number from 0 to 65535")
            + each(["", "@", "/", "unix:", longPath], of: "unix-socket", "the path of a unix socket, 1 to 107 bytes")
            + ["unix-socket-mode", "admin-mode"].flatMap { name in
                each(["1000", "8", "-1", "rw", ""], of: name, "an octal mode, 0 to 0777")
            }
            + ["unix-socket-owner", "admin-owner"].flatMap { name in
                each(["4294967295", "a b", ""], of: name, "a user's name, or its number, 0 to 4294967294")
            }
            + ["unix-socket-group", "admin-group"].flatMap { name in
                each(["4294967295", "a b", ""], of: name, "a group's name, or its number, 0 to 4294967294")
            }
            + each(
                ["title", "UPPER", ""], of: "transform", "upper, echo, lower, rot13, reverse, discard or whoami")
            + each(["0", "-1", "16777217", "64k", ""], of: "buffer-size", "a whole number from 1 to 16777216 bytes")
            + each(["0", "-1", "2147483648", "many"], of: "backlog", "a whole number from 1 to 2147483647")
            + each(["Green", "fork", ""], of: "model", "green, thread or process")
            + each(["0", "1025", "all", ""], of: "workers", "auto or a whole number from 1 to 1024")
            + each(["0", "1025", "auto"], of: "processes", "a whole number from 1 to 1024")
            + each(["0", "1025", "auto"], of: "pool-size", PoolSize.rule)
            + each(
                ["0...4", "4...1025", "5...4", "4...", "...4", "4..8", "1...2...3", "4...x"], of: "pool-size",
                PoolSize.rule)
            + each(
                ["-1", "0.999", "86400.001", "inf", "10s", ""], of: "worker-timeout",
                "a number from 1 to 86400 seconds, or 0")
            + each(["0", "10000001", "all"], of: "max-connections", "a whole number from 1 to 10000000")
            + each(["0", "10000001", "all"], of: "max-connections-per-ip", "a whole number from 1 to 10000000")
            + each(["wait", ""], of: "overflow", "defer or reject")
            + ["idle-timeout", "write-timeout", "handshake-timeout", "drain-timeout", "lame-duck"].flatMap { name in
                each(
                    ["-0.001", "0.0009", "1e-30", "3153600001", "1e300", "inf", "nan", "10s", "1,5", "0x10", ""],
                    of: name, "a number from 0.001 to 3153600000 seconds, or 0")
            }
            + ["tls-certificate", "tls-key", "tls-client-ca"].flatMap { name in
                each(["", String(repeating: "x", count: 4096)], of: name, "the path of a file, 1 to 4095 bytes")
            }
            + each(["verbose", "INFO", ""], of: "log-level", "a level, trace to critical")
            + each(["localhost", "[::1]"], of: "admin", "\(adminRule): the port is missing")
            + each(["9090"], of: "admin", "\(adminRule): \(AddressError.Reason.badIPv4)")
            + each(["", ":9090"], of: "admin", "\(adminRule): the host is missing")
            + each(["[fe80::1]:9090"], of: "admin", "\(adminRule): \(AddressError.Reason.missingInterface)")
            + each(["xml", "JSON", ""], of: "log-format", "auto, text, json or journal")

        private static let adminRule = "an address such as 127.0.0.1:9090 or [::1]:9090, or the path of a unix socket"

        /// A path of two-byte letters, since the limit is in bytes.
        private static let longPath = "/" + String(repeating: "ä", count: 53) + "b"
    }

    @Test(arguments: ["", "true", "1", "Yes"])
    func `a switch is yes or no`(value: String) {
        let failure = #expect(throws: StartFailure.self) {
            try settings(environment: ["ECHO_SERVER_FREEBIND": value])
        }
        #expect(failure?.message == "ECHO_SERVER_FREEBIND: '\(value)' is not yes or no")
    }

    @Test(arguments: BadValue.all)
    func `a bad option ends with status 64 and a message that says option, value and what was expected`(bad: BadValue) {
        let failure = #expect(throws: StartFailure.self) { try settings(bad.arguments) }
        #expect(failure?.status == .usage)
        #expect(failure?.message == "--\(bad.name): '\(bad.value)' is not \(bad.expected)")
    }

    @Test(arguments: BadValue.all)
    func `a bad variable ends with status 78 and a message that says variable, value and what was expected`(
        bad: BadValue
    ) {
        let failure = #expect(throws: StartFailure.self) { try settings(environment: [bad.variable: bad.value]) }
        #expect(failure?.status == .configuration)
        #expect(failure?.message == "\(bad.variable): '\(bad.value)' is not \(bad.expected)")
    }

    // MARK: Limits

    @Test(arguments: ["0", "65535"])
    func `the first and the last port are ports`(port: String) throws {
        #expect(try settings(["--port", port]).port == UInt16(port))
    }

    @Test(arguments: ["1", "16777216"])
    func `the smallest and the largest buffer are allowed`(size: String) throws {
        #expect(try settings(["--buffer-size", size]).bufferSize == Int(size))
    }

    @Test(arguments: ["1", "2147483647"])
    func `the shortest and the longest backlog are allowed`(backlog: String) throws {
        #expect(try settings(["--backlog", backlog]).backlog == Int(backlog))
    }

    @Test func `a path of 107 bytes is a unix socket`() throws {
        let path = "/" + String(repeating: "ä", count: 53)
        #expect(try settings(["--unix-socket", path]).unixSocket == path)
    }

    @Test(arguments: ["::1", "[::1]"])
    func `an IPv6 address alone may stand in brackets`(host: String) throws {
        #expect(try settings(["--host", host]).host == "::1")
    }

    @Test func `the path of a unix socket may have a prefix that says so`() throws {
        #expect(try settings(["--unix-socket", "unix:/run/x"]).unixSocket == "/run/x")
        #expect(try settings(["--admin", "unix:x"]).admin == .unix(path: "x"))
    }

    @Test(arguments: ["trace", "debug", "info", "notice", "warning", "error", "critical"])
    func `each level of the log has its name`(level: String) throws {
        #expect(try settings(["--log-level", level]).logLevel.rawValue == level)
    }

    @Test(arguments: [
        ("worker-timeout", "1", "86400"), ("workers", "1", "1024"), ("processes", "1", "1024"),
        ("max-connections", "1", "10000000"),
        ("max-connections-per-ip", "1", "10000000"), ("idle-timeout", "0.001", "3153600000"),
        ("write-timeout", "0.001", "3153600000"), ("drain-timeout", "0", "3153600000"),
    ])
    func `the first and the last number of each range are taken as they are`(
        name: String, low: String, high: String
    ) throws {
        let setting = try #require(Settings.all.first { $0.name == name })
        for value in [low, high] { #expect(setting.show(try settings(["--\(name)", value])) == value) }
    }

    @Test(arguments: ["1", "1024"])
    func `the smallest and the largest pool are allowed`(size: String) throws {
        #expect(try settings(["--model", "thread", "--pool-size", size]).poolSize == Int(size))
    }

    @Test(arguments: [("1...1024", 1, 1024), ("4...64", 4, 64), ("7...7", 7, 7)])
    func `a pool can have a least and a most number`(text: String, least: Int, most: Int) throws {
        let settings = try settings(["--model", "process", "--pool-size", text])
        #expect(settings.pool?.least == least && settings.pool?.most == most && settings.poolSize == most)
    }

    // MARK: Sums

    @Test func `workers times processes have a limit`() throws {
        #expect(try settings(["--workers", "4", "--processes", "1024"]).processes == 1024)
        let failure = #expect(throws: StartFailure.self) { try settings(["--workers", "5", "--processes", "1024"]) }
        #expect(failure?.status == .usage)
        #expect(
            failure?.message
                == "--workers: '5' in each of 1024 processes makes 5120 hubs; at most 4096 are allowed")
    }

    @Test func `the buffers of a pool have a limit together`() throws {
        let pool = ["--model", "process", "--pool-size", "1024", "--buffer-size"]
        #expect(try settings(pool + ["4194304"]).bufferSize == 4 << 20)
        let failure = #expect(throws: StartFailure.self) { try settings(pool + ["4194305"]) }
        #expect(
            failure?.message
                == "--buffer-size: '4194305' for each of 1024 in the pool makes 4294968320 bytes; at most 4294967296 are allowed"
        )
    }
}
