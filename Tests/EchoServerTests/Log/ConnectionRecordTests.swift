import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

@testable import EchoServer

@Suite struct ConnectionRecordTests {
    private static let record = ConnectionRecord(
        start: timespec(tv_sec: 1_700_000_000, tv_nsec: 5_999_999), from: Deadline(nanoseconds: 7),
        until: Deadline(nanoseconds: 1_500_000_007),
        peer: .loopback(port: 7), proxiedPeer: SocketAddress(ip: "2001:db8::1", port: 8), local: .unix(path: "/x\"y"),
        model: "green", pid: 42, traffic: .init(reads: 3, bytesIn: 10, bytesOut: 9), end: .peerGone, tls: "TLSv1.3")

    private func line(_ record: ConnectionRecord) -> String {
        let lines = RecordLines()
        lines.append(record)
        var text = ""
        _ = lines.take { bytes in
            text = String(decoding: bytes, as: UTF8.self)
            return bytes.count
        }
        return text
    }

    @Test func `a record is a line of JSON`() {
        #expect(
            line(ConnectionRecordTests.record)
                == #"{"start":"2023-11-14T22:13:20.005Z","duration":1.5,"peer":"127.0.0.1:7","proxied_peer":"[2001:db8::1]:8","local":"/x\"y","#
                + #""model":"green","pid":42,"bytes_in":10,"bytes_out":9,"reads":3,"end":"peer_gone","tls":"TLSv1.3"}"#
                + "\n"
        )
    }

    @Test func `what is not known is null`() {
        let record = ConnectionRecord(
            start: timespec(), from: .now, until: .now, peer: .unix(path: ""), model: "process", pid: 1, end: .crashed)
        #expect(
            line(record)
                == #"{"start":"1970-01-01T00:00:00.000Z","duration":0.0,"peer":"unix client","proxied_peer":null,"local":null,"#
                + #""model":"process","pid":1,"bytes_in":null,"bytes_out":null,"reads":null,"end":"crashed","tls":null}"#
                + "\n"
        )
    }

    /// As `JSON` writes them, which is slower.
    @Test(arguments: [0, 1, 9, 10, 99, 100, 999, 1000, 1001, 1010, 1100, 59_999, 60_000, 86_400_123, 31_536_000_000])
    func `a duration is written as seconds, with as many digits as it needs`(milliseconds: Int) {
        let record = ConnectionRecord(
            start: timespec(tv_sec: milliseconds, tv_nsec: 987_654_321), from: Deadline(nanoseconds: 0),
            until: Deadline(nanoseconds: Int64(milliseconds) * 1_000_000 + 999_999), peer: .loopback(port: 65535),
            local: SocketAddress(ip: "::ffff:192.0.2.255", port: 0), model: "green", pid: 4_194_304,
            traffic: .init(reads: milliseconds, bytesIn: .max, bytesOut: 0), end: .done)
        #expect(line(record).contains("\"duration\":\(JSON.number(Double(milliseconds) / 1000)),"))
        #expect(line(record).contains(".987Z"))
        #expect(line(record).contains("\"peer\":\"127.0.0.1:65535\",\"proxied_peer\":null"))
        #expect(line(record).contains("\"local\":\"[::ffff:192.0.2.255]:0\",\"model\":\"green\",\"pid\":4194304,"))
        #expect(line(record).contains("\"bytes_in\":\(Int.max),\"bytes_out\":0,\"reads\":\(milliseconds),"))
    }

    @Test func `the longest paths there are find room`() {
        let path = SocketAddress.unix(path: String(repeating: "\u{1}\"\u{2028}", count: 21))
        let record = ConnectionRecord(
            start: timespec(), from: .now, until: .now, peer: path, proxiedPeer: path, local: path, model: "process",
            pid: 1, end: .crashed)
        let lines = RecordLines()
        while !lines.isEnough { lines.append(record) }
        let count = lines.count
        #expect(lines.take { $0.count } == count)
    }

    @Test func `a file that can't be opened ends the start`() {
        let failure = #expect(throws: StartFailure.self) { try RecordSink(.file("/nowhere/records")) }
        #expect(failure?.message == "record: cannot open /nowhere/records: no such file or directory (ENOENT)")
        #expect(failure?.status == .configuration)
    }

    @Test func `a place is a path of a file or of a socket, with both ends of its length`() {
        #expect(RecordPlace("x") == .file("x") && RecordPlace("unix:@x") == .socket(path: "@x"))
        #expect(RecordPlace(String(repeating: "x", count: 4095)) != nil)
        for bad in ["", String(repeating: "x", count: 4096), "unix:", "unix:" + String(repeating: "x", count: 108)] {
            #expect(RecordPlace(bad) == nil)
        }
    }
}
