import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

@testable import EchoServer

@Suite struct SocketSettingsTests {
    private func settings(_ arguments: [String], environment: [String: String] = [:]) throws -> Settings {
        try Settings(parsing: arguments, environment: environment)
    }

    private static let tcp = Int32(IPPROTO_TCP)

    /// Runs `body` with a listener that the server would open with these options, and a connection that it has accepted.
    private func withAccepted(
        _ arguments: [String], _ body: @escaping @Sendable (Int32, Connection) throws -> Void
    ) throws {
        let settings = try settings(["--port=0"] + arguments)
        try onHub {
            let log = ServerLog(level: { .critical }, format: .text)
            let nothingPassed = Activation.Sockets(service: [], admin: [], unusual: [])
            let socket = try Listeners(settings, nothingPassed, log).openService()[0][0]
            let listener = Listener(socket)
            defer { listener.close() }
            let client = try Connection.connect(to: socket.address)
            defer { client.close() }
            try client.sendAll("x")
            let accepted = try listener.accept(until: .after(.seconds(10)))
            defer { accepted.close() }
            try body(socket.descriptor, accepted)
        }
    }

    private static func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) throws -> Int32 {
        var (value, length) = (Int32(-1), socklen_t(MemoryLayout<Int32>.size))
        try #require(getsockopt(descriptor, level, name, &value, &length) == 0)
        return value
    }

    // MARK: What the kernel has

    @Test func `without options, the kernel asks silent clients whether they are there`() throws {
        try withAccepted([]) { _, connection in
            try #expect(connection.option(SO_KEEPALIVE) == 1)
            try #expect(connection.option(TCP_KEEPIDLE, level: SocketSettingsTests.tcp) == 120)
            try #expect(connection.option(TCP_KEEPINTVL, level: SocketSettingsTests.tcp) == 30)
            try #expect(connection.option(TCP_KEEPCNT, level: SocketSettingsTests.tcp) == 4)
            try #expect(connection.option(TCP_USER_TIMEOUT, level: SocketSettingsTests.tcp) == 0)
        }
    }

    @Test func `keep-alive can be off`() throws {
        try withAccepted(["--keepalive=off"]) { _, connection in try #expect(connection.option(SO_KEEPALIVE) == 0) }
    }

    @Test(arguments: [("1", 1, 30, 4), ("32767,1", 32767, 1, 4), ("60,32767,127", 60, 32767, 127), ("9,8,1", 9, 8, 1)])
    func `a connection has the keep-alive of its listener`(
        text: String, idle: Int32, interval: Int32, count: Int32
    )
        throws
    {
        try withAccepted(["--keepalive=\(text)"]) { _, connection in
            try #expect(connection.option(TCP_KEEPIDLE, level: SocketSettingsTests.tcp) == idle)
            try #expect(connection.option(TCP_KEEPINTVL, level: SocketSettingsTests.tcp) == interval)
            try #expect(connection.option(TCP_KEEPCNT, level: SocketSettingsTests.tcp) == count)
        }
    }

    @Test(arguments: [("0.001", 1), ("2147483.647", Int32.max), ("30", 30_000), ("0", 0)])
    func `a connection has the user timeout of its listener`(text: String, milliseconds: Int32) throws {
        try withAccepted(["--tcp-user-timeout=\(text)"]) { _, connection in
            try #expect(connection.option(TCP_USER_TIMEOUT, level: SocketSettingsTests.tcp) == milliseconds)
        }
    }

    @Test(arguments: ["127.0.0.1", "::1"], [0, 10, 63])
    func `the packets of a connection have the class of service`(host: String, dscp: Int32) throws {
        try withAccepted(["--host=\(host)", "--dscp=\(dscp)"]) { _, connection in
            if host == "::1" {
                try #expect(connection.option(IPV6_TCLASS, level: Int32(IPPROTO_IPV6)) == dscp << 2)
            } else {
                try #expect(connection.option(IP_TOS, level: Int32(IPPROTO_IP)) == dscp << 2)
            }
        }
    }

    @Test func `a listener is bound to its interface`() throws {
        try withAccepted(["--bind-device=lo"]) { descriptor, _ in
            var (name, length) = ([UInt8](repeating: 0, count: 16), socklen_t(16))
            #expect(getsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, &name, &length) == 0)
            #expect(String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) == "lo")
        }
    }

    @Test func `a listener for an interface that is not there ends the start with status 69`() throws {
        let settings = try settings(["--port=0", "--bind-device=nothere0"])
        let failure = #expect(throws: StartFailure.self) {
            let log = ServerLog(level: { .critical }, format: .text)
            _ = try Listeners(settings, Activation.Sockets(service: [], admin: [], unusual: []), log).openService()
        }
        #expect(failure?.status == .unavailable)
        #expect(failure?.message.contains("nothere0") == true)
        let checked = #expect(throws: StartFailure.self) { try StartCheck(settings: settings).run() }
        #expect(checked?.status == .unavailable)
    }

    @Test func `a client is not accepted before it has sent something`() throws {
        let settings = try settings(["--port=0", "--defer-accept=30"])
        try onHub {
            let log = ServerLog(level: { .critical }, format: .text)
            let none = Activation.Sockets(service: [], admin: [], unusual: [])
            let listener = Listener(try Listeners(settings, none, log).openService()[0][0])
            defer { listener.close() }
            let silent = try Connection.connect(to: listener.address)
            let talker = try Connection.connect(to: listener.address)
            defer {
                silent.close()
                talker.close()
            }
            try talker.sendAll("x")
            let accepted = try listener.accept(until: .after(.seconds(10)))
            try #expect(accepted.peer == talker.localAddress())
            let error = #expect(throws: NetError.self) { try listener.accept(until: .now) }
            #expect(error?.isTimeout == true)
        }
    }

    @Test(arguments: [1, 65535])
    func `a listener has a queue for fast open, cut as the kernel cuts all queues`(length: Int32) throws {
        let text = String(decoding: try SmallFile.read("/proc/sys/net/core/somaxconn", upTo: 64), as: UTF8.self)
        let most = try #require(Int32(text.dropLast()))
        try withAccepted(["--fast-open=\(length)"]) { descriptor, _ in
            try #expect(
                SocketSettingsTests.option(descriptor, SocketSettingsTests.tcp, TCP_FASTOPEN) == min(length, most))
        }
    }

    @Test func `listeners that share a port all have the options`() throws {
        let settings = try settings(["--port=0", "--workers=3", "--keepalive=77"])
        let log = ServerLog(level: { .critical }, format: .text)
        let none = Activation.Sockets(service: [], admin: [], unusual: [])
        let sets = try Listeners(settings, none, log).openService()
        defer { for socket in sets.joined() { socket.close() } }
        #expect(sets.count == 3)
        for socket in sets.joined() {
            try #expect(SocketSettingsTests.option(socket.descriptor, SocketSettingsTests.tcp, TCP_KEEPIDLE) == 77)
        }
    }

    // MARK: What is refused

    static let bad: [(String, String, String)] =
        ["0", "32768", "1,0", "1,32768", "1,1,0", "1,1,128", "1,1,1,1", "", "on", "1,"].map {
            ("keepalive", $0, SocketSettings.KeepAlive.rule)
        }
        + ["0.0009", "2147483.648", "-1", "x"].map {
            ("tcp-user-timeout", $0, "a number from 0.001 to 2147483.647 seconds, or 0")
        }
        + ["-1", "64", "ef", ""].map { ("dscp", $0, "a whole number from 0 to 63") }
        + ["", "a b", "a/b", "0123456789abcdef"].map {
            ("bind-device", $0, "the name of a network interface, 1 to 15 bytes")
        }
        + ["-1", "32768", "1.5"].map { ("defer-accept", $0, "a whole number from 1 to 32767 seconds, or 0") }
        + ["-1", "65536", "yes"].map { ("fast-open", $0, "a whole number from 1 to 65535, or 0") }

    @Test(arguments: bad)
    func `a value out of range is refused, with option, value and range`(name: String, value: String, rule: String) {
        let failure = #expect(throws: StartFailure.self) {
            try settings(value.isEmpty ? ["--\(name)", ""] : ["--\(name)=\(value)"])
        }
        #expect(failure?.status == .usage)
        #expect(failure?.message == "--\(name): '\(value)' is not \(rule)")
    }

    @Test func `an option of TCP is refused with a unix socket, and what switches it off is not`() throws {
        for (name, value) in [("keepalive", "60"), ("dscp", "0"), ("fast-open", "5"), ("bind-device", "lo")] {
            let failure = #expect(throws: StartFailure.self) {
                try settings(["--unix-socket=/x", "--\(name)=\(value)"])
            }
            #expect(failure?.message == "--\(name): '\(value)' needs a TCP listener: unix-socket is /x")
        }
        #expect(throws: Never.self) {
            try settings(["--unix-socket=/x", "--keepalive=off", "--fast-open=0", "--tcp-user-timeout=0"])
        }
    }

    @Test func `the listing shows them as they are typed`() throws {
        let given = [
            "keepalive": "7,6,5", "tcp-user-timeout": "1.5", "dscp": "46", "bind-device": "lo", "defer-accept": "3",
            "fast-open": "9",
        ]
        let settings = try settings(given.map { "--\($0)=\($1)" })
        for setting in SocketSettings.all { #expect(setting.show(settings) == given[setting.name]) }
        #expect(Set(SocketSettings.all.map(\.name)) == Set(given.keys))
    }
}
