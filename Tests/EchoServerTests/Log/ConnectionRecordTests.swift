import Glibc
import GreenNet
import TestSupport
import Testing

@testable import EchoServer

@Suite struct ConnectionRecordTests {
    private static let record = ConnectionRecord(
        start: timespec(tv_sec: 1_700_000_000, tv_nsec: 5_999_999), duration: .milliseconds(1500),
        peer: .loopback(port: 7), proxiedPeer: SocketAddress(ip: "2001:db8::1", port: 8), local: .unix(path: "/x\"y"),
        model: "green", pid: 42, traffic: .init(reads: 3, bytesIn: 10, bytesOut: 9), end: .peerGone, tls: "TLSv1.3")

    @Test func `a record is a line of JSON`() {
        #expect(
            String(decoding: ConnectionRecordTests.record.line, as: UTF8.self)
                == #"{"start":"2023-11-14T22:13:20.005Z","duration":1.5,"peer":"127.0.0.1:7","proxied_peer":"[2001:db8::1]:8","local":"/x\"y","#
                + #""model":"green","pid":42,"bytes_in":10,"bytes_out":9,"reads":3,"end":"peer_gone","tls":"TLSv1.3"}"#
                + "\n"
        )
    }

    @Test func `what is not known is null`() {
        let record = ConnectionRecord(
            start: timespec(), duration: .zero, peer: .unix(path: ""), model: "process", pid: 1, end: .crashed)
        #expect(
            String(decoding: record.line, as: UTF8.self)
                == #"{"start":"1970-01-01T00:00:00.000Z","duration":0.0,"peer":"unix client","proxied_peer":null,"local":null,"#
                + #""model":"process","pid":1,"bytes_in":null,"bytes_out":null,"reads":null,"end":"crashed","tls":null}"#
                + "\n"
        )
    }

    @Test func `a renamed file gets no more records once the sink opens it again`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/records"
            let sink = try RecordSink(.file(path))
            #expect(sink.write(ConnectionRecordTests.record))
            #expect(rename(path, path + ".1") == 0)
            #expect(sink.write(ConnectionRecordTests.record))
            sink.reopen()
            #expect(sink.write(ConnectionRecordTests.record))
            func lines(_ path: String) throws -> Int {
                try #require(ProcessStatus.contents(of: path)).split(separator: "\n").count
            }
            #expect(try lines(path + ".1") == 2 && lines(path) == 1)
        }
    }

    @Test func `a pipe that is full and a socket that is not there take no record, at once`() throws {
        try withTemporaryDirectory { directory in
            let pipe = "\(directory)/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            let sink = try RecordSink(.file(pipe))
            var taken = 0
            while sink.write(ConnectionRecordTests.record), taken < 10_000 { taken += 1 }
            #expect((100..<10_000).contains(taken))
            #expect(try !RecordSink(.socket(path: "\(directory)/nothing")).write(ConnectionRecordTests.record))
        }
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
