import Glibc
import GreenNet
import TestSupport
import Testing

@testable import EchoServer

@Suite struct ListenEntryTests {
    private func settings(_ arguments: [String]) throws -> Settings {
        try Settings(parsing: arguments)
    }

    @Test func `a list has places of each kind, with settings of their own`() throws {
        let settings = try settings([
            "--listen", "tcp:[::]:7?transform=echo&keepalive=60,10,5,tls:localhost:443,unix:/run/x?backlog=5",
            "--listen", "udp:127.0.0.1:7?service=time", "--tls-certificate=/c", "--tls-key=/k", "--transform=upper",
        ])
        #expect(settings.listen.map(\.kind) == [.tcp, .tls, .unix, .udp])
        #expect(
            settings.listen.map(\.endpoint) == [
                .host("::", port: 7), .host("localhost", port: 443), .unix(path: "/run/x"), .host("127.0.0.1", port: 7),
            ])
        let own = settings.listen.map { $0.settings(settings) }
        #expect(own.map { $0.live.transform } == [.echo, .upper, .upper, .upper])
        #expect(own[0].socket.keepAlive == SocketSettings.KeepAlive(idle: 60, interval: 10, count: 5))
        #expect(own[1].socket.keepAlive == SocketSettings.KeepAlive())
        #expect(own.map(\.backlog) == [4096, 4096, 5, 4096])
        #expect(own[3].services.service == .time)
        #expect(settings.streamEntries.count == 3)
        #expect(settings.datagramEntries.count == 1)
        #expect(settings.namesAddress)
    }

    @Test func `without a list there is the place of host and port, or of unix-socket`() throws {
        #expect(try settings(["--port=9"]).streamEntries.map(\.endpoint) == [.host("127.0.0.1", port: 9)])
        #expect(try settings(["--unix-socket=/x"]).streamEntries.map(\.endpoint) == [.unix(path: "/x")])
        #expect(try settings(["--tls-certificate=/c", "--tls-key=/k"]).streamEntries[0].speaksTLS)
    }

    @Test(arguments: [
        ("", "'' does not begin with tcp:, tls:, unix: or udp:"),
        ("127.0.0.1:7", "'127.0.0.1:7' does not begin with tcp:, tls:, unix: or udp:"),
        ("tcp:127.0.0.1", "'127.0.0.1': \(AddressError.Reason.missingPort)"),
        ("tcp:/run/x", "'/run/x': a path goes behind unix:"), ("unix:", "'': \(AddressError.Reason.badPath)"),
        ("tcp:[::1]:7?dscp", "'dscp' is not of the form NAME=VALUE"),
        ("tcp:[::1]:7?dscp=64", "dscp: '64' is not a whole number from 0 to 63"),
        ("tcp:[::1]:7?transform=echo&backlog=1&transform=upper", "transform is there twice"),
        ("unix:@a?unix-socket-mode=0666", "unix-socket-mode needs a path: the abstract socket @a has no permissions"),
        ("udp:[::1]:7?backlog=1", "udp: takes no 'backlog', but transform, service, udp-rate, dscp, bind-device"),
        ("tcp:[::1]:7,tcp:[::1]:x", "'[::1]:x': \(AddressError.Reason.badPort)"),
        (Array(repeating: "tcp:[::1]:7", count: 65).joined(separator: ","), "65 places are more than 64"),
    ])
    func `a place that makes no sense is refused with the reason`(text: String, reason: String) {
        let failure = #expect(throws: StartFailure.self) {
            try settings(text.isEmpty ? ["--listen", ""] : ["--listen=\(text)"])
        }
        #expect(failure?.message == "--listen: '\(text)' is not \(ListenEntry.rule): \(reason)")
    }

    @Test func `64 places are allowed`() throws {
        let text = Array(repeating: "tcp:[::1]:0", count: 64).joined(separator: ",")
        #expect(try settings(["--listen", text]).listen.count == 64)
    }

    @Test(arguments: [
        (["--listen=tcp:[::1]:7", "--port=7"], "--port: '7' does not go with listen, which is tcp:[::1]:7"),
        (["--listen=udp:[::1]:7"], "--listen: 'udp:[::1]:7' needs a place for connections: tcp:, tls: or unix:"),
        (["--listen=tls:[::1]:7"], "--listen: 'tls:[::1]:7' needs tls-certificate and tls-key"),
    ])
    func `a list that does not go with other settings is refused`(arguments: [String], message: String) {
        let failure = #expect(throws: StartFailure.self) { try settings(arguments) }
        #expect(failure?.message == message)
    }

    private func openDescriptors() -> Int { (0..<4096).count { fcntl($0, F_GETFD) >= 0 } }

    @Test func `where one place can't be had, none stays open`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/echo.sock"
            let taken = try ListeningSocket(on: .loopback(port: 0), backlog: 1)
            defer { taken.close() }
            let port = try #require(taken.address.port)
            let settings = try settings(["--workers=2", "--listen=tcp:127.0.0.1:0,unix:\(path),tcp:127.0.0.1:\(port)"])
            let log = ServerLog(level: { .critical }, format: .text)
            let none = Activation.Sockets(service: [], admin: [], unusual: [])
            let before = openDescriptors()
            let failure = #expect(throws: StartFailure.self) {
                _ = try Listeners(settings, none, log).openService()
            }
            #expect(failure?.status == .unavailable)
            #expect(failure?.message.contains("127.0.0.1:\(port)") == true)
            #expect(openDescriptors() == before)
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func `profiles go to other processes as words, with the same places`() throws {
        let places = ["tcp:0.0.0.0:7?transform=echo", "unix:a b?service=discard", "unix:@name", "tls:[::1]:9"]
        let addresses: [SocketAddress] = [
            try SocketAddress(parsing: "0.0.0.0:7"), .unix(path: "a b"), .unix(path: "@name"),
            try SocketAddress(parsing: "[::1]:9"),
        ]
        let entries = try ListenEntry.entries(places.joined(separator: ","))
        let profiles = ListenerProfiles(zip(addresses, entries).map { .init(address: $0, entry: $1) })
        let copy = try #require(ListenerProfiles([("allow", "::1")] + profiles.words))
        #expect(copy.words.map(\.text) == profiles.words.map(\.text))
        #expect(copy.words.count == 8)
        #expect(ListenerProfiles([("allow", "::1")]) == nil)
    }
}
