import Glibc
import Logging
import TestSupport
import Testing

@testable import EchoServer
@testable import GreenNet

/// The server's messages and their words: programs search for some of them.
@Suite struct LogServerTests {
    private let pipe = LogPipe()
    private let peer = SocketAddress(ip: "127.0.0.1", port: 4242)!

    private func log(_ level: Logger.Level = .debug, _ format: LogFormat = .text) -> ServerLog {
        ServerLog(level: level, LogSink(format, descriptor: pipe.writing))
    }

    /// The lines of the log without the time.
    private func lines() -> [String] {
        pipe.takeLines().map { $0.split(separator: " ").dropFirst().joined(separator: " ") }
    }

    private func settings(_ change: (inout Settings) -> Void) -> Settings {
        var settings = Settings()
        change(&settings)
        return settings
    }

    @Test func `the first line says where and how it listens`() throws {
        let settings = settings {
            $0.workers = 2
            $0.processes = 3
            $0.maxConnections = 1000
        }
        let shared = try SharedState(settings, descriptorLimit: 164)
        log().listening(on: [peer], settings, shared)
        let lines = lines()
        #expect(
            lines[0]
                == "notice listening on 127.0.0.1:4242 model=green pid=\(getpid()) processes=3 transform=upper workers=2"
        )
        let places = shared.admission.places
        #expect(lines[1] == "notice connection limit descriptor_limit=164 max_connections=\(places)")
        #expect(
            lines[2]
                == "warning max-connections reduced by the descriptor limit or pool size max_connections=\(places) wanted_connections=1000"
        )
        #expect(lines.count == 3)
    }

    /// If the server listens on two addresses, one line names the address that other machines reach.
    @Test func `a server open to other machines without limits warns and names the missing limits`() throws {
        let everywhere = SocketAddress(ip: "0.0.0.0", port: 4242)!
        let shared = try SharedState(Settings(), descriptorLimit: 164)
        func warnings(_ change: (inout Settings) -> Void) -> [String] {
            log().listening(on: [peer, everywhere], settings(change), shared)
            return lines().filter { $0.hasPrefix("warning") }
        }
        let start =
            "warning reachable from other machines without per-client limits; consider setting them address=0.0.0.0:4242 missing_limits="
        #expect(warnings { _ in } == ["\(start)\"max-connections-per-ip, idle-timeout, write-timeout\""])
        let some = warnings {
            $0.idleTimeout = .seconds(60)
            $0.maxConnectionsPerIP = 10
        }
        #expect(some == ["\(start)write-timeout"])
        let none = warnings {
            $0.idleTimeout = .seconds(60)
            $0.writeTimeout = .seconds(60)
            $0.maxConnectionsPerIP = 10
        }
        #expect(none.isEmpty)
    }

    @Test func `an admin interface that other machines can reach is warned about`() {
        log().administered(at: peer)
        #expect(lines() == ["notice admin on http://127.0.0.1:4242"])
        log().administered(at: SocketAddress(ip: "::", port: 7)!)
        #expect(
            lines() == [
                "notice admin on http://[::]:7",
                "warning admin interface is reachable from other machines without authentication admin_address=[::]:7",
            ])
    }

    @Test func `in JSON the first line has the same message, and fields`() throws {
        let settings = settings {
            $0.model = .thread
            $0.pool = PoolSize(4)
        }
        try log(.info, .json).listening(
            on: [.unix(path: "/run/echo.sock")], settings, SharedState(settings, descriptorLimit: 100))
        let line = pipe.takeLines()[0]
        #expect(
            line.contains(#""level":"notice","msg":"listening on /run/echo.sock","#))
        #expect(
            line.hasSuffix(
                #","address":"/run/echo.sock","model":"thread","pid":\#(getpid()),"pool_size":4,"transform":"upper"}"#))
    }

    @Test func `a stop logs the signal, and at the end the counters`() throws {
        let counters = try Counters(rows: 1)
        counters.add(3, to: .accepted, row: 0)
        counters.add(2, to: .endedPeerGone, row: 0)
        counters.add(17, to: .bytesIn, row: 0)
        log().draining(counters, signal: SIGTERM, within: .seconds(10))
        log().endingAtOnce(SIGINT)
        log().state(counters)
        log().stopped(counters)
        #expect(
            lines() == [
                "notice no longer accepting; waiting for clients to finish drain_timeout=10 open=1 signal=TERM",
                "notice second signal: ending at once signal=INT",
                "notice state accepted=3 bytes_in=17 ended_peer_gone=2 open=1",
                "notice stopped accepted=3 bytes_in=17 ended_peer_gone=2 open=1",
            ])
    }

    @Test func `a connection's end names call, errno and peer; only what deserves a look is a warning`() {
        for code in [ECONNRESET, EBADF] { log().connectionFailed(NetError(.recv, result: -Int(code), peer)) }
        log().connectionFailed(NetError(.recv, .wait(.deadlinePassed), peer))
        #expect(
            lines() == [
                "debug connection ended call=recv connection_end=peer_gone errno=ECONNRESET error=\"connection reset by peer\" peer=127.0.0.1:4242",
                "warning connection ended call=recv connection_end=failed errno=EBADF error=\"bad file descriptor\" peer=127.0.0.1:4242",
                "debug connection ended call=recv connection_end=idle peer=127.0.0.1:4242 reason=deadlinePassed",
            ])
    }

    @Test func `a peer's name ends no line`() {
        let peer = SocketAddress.unix(path: "/tmp/x\n2026 notice listening\u{1b}[2J")
        log().connectionFailed(NetError(.recv, result: -Int(ECONNRESET), peer))
        let text = pipe.takeText()
        #expect(text.hasSuffix(#" peer="/tmp/x\\n2026 notice listening\\u{1b}[2J""# + "\n"))
        #expect(text.count { $0 == "\n" } == 1)
    }

    @Test func `a worker's death says how`() {
        log().died(17, ChildStatus(raw: 9))
        log().died(18, ChildStatus(raw: 71 << 8))
        log().died(19, ChildStatus(raw: 0))
        log().stuck(20, .milliseconds(10_250))
        log().cannotFork(SystemError(EAGAIN))
        #expect(
            lines() == [
                "warning worker process died killed_by=9 worker=17",
                "warning worker process died exit_code=71 worker=18",
                "info worker process ended worker=19",
                "warning killing a worker process that does not respond silence=10.25 worker=20",
                "error cannot fork a worker process call=fork errno=EAGAIN error=\"resource temporarily unavailable\"",
            ])
    }

    @Test func `a dump is a line for each green thread, while the others run`() throws {
        let log = log()
        let pipe = pipe
        let others = 1000
        let lines = try onHub {
            let threads = (0..<others).map { number in
                spawn(name: "sleeper\n\(number)") { try Greenlet.sleep(for: .seconds(1000)) }
            }
            try Greenlet.yield()
            var text = ""
            let reader = spawn {
                while true {
                    try Greenlet.sleep(for: .microseconds(100))
                    text += pipe.takeText()
                }
            }
            log.dump(.current)
            for thread in threads + [reader] { thread.kill() }
            text += pipe.takeText()
            return text.split(separator: "\n").map(String.init)
        }
        #expect(log.droppedLines == 0)
        #expect(lines[0].hasSuffix(" notice green threads:"))
        #expect(lines.count { $0.contains("to sleep to be over") } == others)
        #expect(lines.contains { $0.contains("(main): running") })
    }

    // MARK: What was sent

    @Test(arguments: [Logger.Level.debug, .info, .critical])
    func `above trace, what was sent is not even looked at`(level: Logger.Level) {
        #expect(log(level).payloadTracer == nil)
    }

    @Test func `a trace shows what was sent, escaped and cut`() throws {
        let tracer = try #require(log(.trace).payloadTracer)
        let bytes: [UInt8] =
            Array("hi \"%\\".utf8) + [0, 10, 27, 0x7f, 0x9b, 0xff] + Array(repeating: 0x61, count: 1000)
        bytes.withUnsafeBytes { tracer($0, peer) }
        let shown = "hi %22%25%5C%00%0A%1B%7F%9B%FF" + String(repeating: "a", count: 52)
        #expect(lines() == [#"trace received bytes=1012 payload="\#(shown)" peer=127.0.0.1:4242"#])
    }

    @Test(arguments: [Logger.Level.trace, .debug])
    func `the handler traces what came, as it came`(level: Logger.Level) throws {
        let log = log(level)
        try onHub {
            let listener = try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!)
            let counters = CounterRow(counters: try Counters(rows: 1), row: 0)
            var settings = Settings()
            settings.live.logLevel = level
            let live = try LiveSettings(settings, Configuration(try Options.parse([])))
            let handler = ConnectionService(live, log, counters).handler
            let server = StreamServer(listener) { try handler.serve($0) }
            server.start()
            let client = try Connection.connect(to: listener.address)
            try client.sendAll(Array("hello\n".utf8))
            try #expect(client.receive(exactly: 6) == Array("HELLO\n".utf8))
            client.close()
            try server.stop()
        }
        let lines = lines()
        #expect(lines.count == (level == .trace ? 1 : 0))
        #expect(lines.allSatisfy { $0.hasPrefix("trace received bytes=6 payload=hello%0A peer=127.0.0.1:") })
    }
}
