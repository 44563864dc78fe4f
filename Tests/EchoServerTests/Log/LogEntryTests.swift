import Glibc
import Logging
import Testing

@testable import EchoServer
@testable import GreenNet

@Suite struct LogEntryTests {
    private let peer = SocketAddress(ip: "127.0.0.1", port: 4242)!

    private func fields(of error: any Error) -> [String: String] {
        LogEntry.fields(of: error).mapValues { "\($0)" }
    }

    @Test func `an error of a connection names call, errno and peer`() {
        let error = NetError(.recv, result: -Int(ECONNRESET), peer)
        #expect(
            fields(of: error) == [
                "call": "recv", "errno": "ECONNRESET", "error": "connection reset by peer", "peer": "127.0.0.1:4242",
            ])
    }

    @Test func `a wait that has ended names the reason`() {
        let error = NetError(.send, .wait(.deadlinePassed), peer)
        #expect(fields(of: error) == ["call": "send", "reason": "deadlinePassed", "peer": "127.0.0.1:4242"])
    }

    @Test func `an error of a listener names its address, which is no peer`() {
        let error = NetError(.accept, result: -Int(EMFILE), peer)
        #expect(
            fields(of: error) == [
                "call": "accept", "errno": "EMFILE", "error": "too many open files", "address": "127.0.0.1:4242",
            ])
    }

    @Test func `an errno is named, and any other error is logged in its own words`() {
        struct Odd: Error, CustomStringConvertible { let description = "odd\nthing" }
        #expect(fields(of: SystemError(EAGAIN)) == ["errno": "EAGAIN", "error": "resource temporarily unavailable"])
        #expect(fields(of: Odd()) == ["error": "odd\nthing"])
    }

    // MARK: By way of swift-log

    private func log(_ level: Logger.Level, _ body: (Logger) -> Void) -> [String] {
        let pipe = LogPipe()
        let sink = LogSink(.text, descriptor: pipe.writing)
        var logger = Logger(label: "test") { _ in SinkLogHandler(sink, level: { level }) }
        logger[metadataKey: "worker"] = "3"
        body(logger)
        return pipe.takeLines().map { $0.split(separator: " ").dropFirst().joined(separator: " ") }
    }

    @Test
    func `fields of an event override those of its error, and the logger's own fields are logged too`() {
        let error = NetError(.accept, result: -Int(EMFILE), peer)
        let lines = log(.info) { $0.error("cannot accept any more", error: error, metadata: ["address": "here"]) }
        #expect(
            lines == [
                "error cannot accept any more address=here call=accept errno=EMFILE error=\"too many open files\" worker=3"
            ])
    }

    @Test func `lines below the level are not made`() {
        func message() -> Logger.Message {
            Issue.record("it was made")
            return "that"
        }
        let lines = log(.notice) {
            $0.info(message())
            $0.notice("this")
        }
        #expect(lines == ["notice this worker=3"])
    }

    @Test func `each line has the time at which it was written`() {
        func now() -> String {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            return String(decoding: LogLine.timestamp(time), as: UTF8.self)
        }
        let pipe = LogPipe()
        let logger = Logger(label: "test") { _ in
            SinkLogHandler(LogSink(.text, descriptor: pipe.writing), level: { .info })
        }
        let before = now()
        logger.info("m")
        #expect((before...now()).contains(String(pipe.takeText().prefix(24))))
    }
}
