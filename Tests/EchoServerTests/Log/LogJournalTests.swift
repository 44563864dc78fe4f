import Glibc
import Logging
import TestSupport
import Testing

@testable import EchoServer
@testable import GreenNet

@Suite struct LogJournalTests {
    /// A substitute for the journal: a socket that takes datagrams, and files with them.
    private final class Journal: Sendable {
        let path: String
        let socket: Int32

        init(_ path: String) throws {
            self.path = path
            socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var storage = SocketAddress.unix(path: path).storage!
            unlink(path)
            let result = withUnsafeMutablePointer(to: &storage) { bind(socket, $0.address, $0.pointee.length) }
            try #require(result == 0)
        }

        deinit { close(socket) }

        /// The next datagram, and the file that came with it.  Nil if there is none.
        func next() -> (bytes: [UInt8], file: Int32?)? {
            var bytes = [UInt8](repeating: 0, count: 256 << 10)
            // Room for a cmsghdr of 16 bytes and a descriptor.
            var control = [UInt64](repeating: 0, count: 3)
            let count = bytes.withUnsafeMutableBytes { bytes in
                control.withUnsafeMutableBytes { control in
                    var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    return withUnsafeMutablePointer(to: &part) { part in
                        var message = msghdr()
                        (message.msg_iov, message.msg_iovlen) = (part, 1)
                        (message.msg_control, message.msg_controllen) = (control.baseAddress, control.count)
                        return recvmsg(socket, &message, Int32(MSG_DONTWAIT))
                    }
                }
            }
            guard count >= 0 else { return nil }
            return (Array(bytes[..<count]), control[0] == 0 ? nil : Int32(truncatingIfNeeded: control[2]))
        }

        var fields: [String: String]? { next().flatMap { parse($0.bytes) } }
    }

    /// Parses by the rules of the protocol; nil if `bytes` break them.
    private static func parse(_ bytes: [UInt8]) -> [String: String]? {
        var (fields, rest): ([String: String], ArraySlice<UInt8>) = ([:], bytes[...])
        while !rest.isEmpty {
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            let line = rest[..<end]
            if let equals = line.firstIndex(of: UInt8(ascii: "=")) {
                fields[String(decoding: line[..<equals], as: UTF8.self)] = String(
                    decoding: line[(equals + 1)...], as: UTF8.self)
                rest = rest[(end + 1)...]
            } else {
                let size = (0..<8).reduce(0) { $0 | Int(rest[end + 1 + $1]) << (8 * $1) }
                let value = rest[(end + 9)..<(end + 9 + size)]
                fields[String(decoding: line, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
                guard rest[value.endIndex] == UInt8(ascii: "\n") else { return nil }
                rest = rest[(value.endIndex + 1)...]
            }
        }
        return fields
    }

    private func withJournal(_ body: (Journal, LogSink, LogPipe) throws -> Void) throws {
        try withSocketPath { path in
            let (journal, standardError) = (try Journal(path), LogPipe())
            let sink = LogSink(.journal, descriptor: standardError.writing, journalPath: path)
            try body(journal, sink, standardError)
        }
    }

    // MARK: Messages

    @Test func `a message has a line for each field, and its text has the fields too`() {
        let message = JournalMessage.bytes(entry("accepting again", .warning, ["bytes_in": .number(5), "peer": "p q"]))
        let expected = """
            MESSAGE=accepting again bytes_in=5 peer="p q"
            PRIORITY=4
            SYSLOG_IDENTIFIER=echo-server
            BYTES_IN=5
            PEER=p q

            """
        #expect(String(decoding: message, as: UTF8.self) == expected)
    }

    @Test func `a value with lines goes behind its length`() {
        let bytes = JournalMessage.bytes(entry("one\ntwo", .notice, ["key": "a\n"]))
        let expected =
            Array("MESSAGE\n".utf8) + [17, 0, 0, 0, 0, 0, 0, 0] + Array("one\ntwo key=\"a\\n\"\n".utf8)
            + Array("PRIORITY=5\nSYSLOG_IDENTIFIER=echo-server\nECHO_KEY\n".utf8) + [2, 0, 0, 0, 0, 0, 0, 0]
            + Array("a\n\n".utf8)
        #expect(bytes == expected)
    }

    @Test func `control characters are escaped, except ends of lines and tabs`() {
        let fields = LogJournalTests.parse(JournalMessage.bytes(entry("a\u{1b}b\tc\r", .info, ["k": "\u{9b}\0\\"])))
        #expect(fields?["MESSAGE"]?.hasPrefix("a\\u{1b}b\tc\\r") == true)
        #expect(fields?["ECHO_K"] == "\\u{9b}\\u{0}\\")
    }

    @Test(arguments: [
        ("model", "ECHO_MODEL"), ("address", "ECHO_ADDRESS"), ("peer", "PEER"), ("connection_end", "CONNECTION_END"),
        ("bytes_in", "BYTES_IN"), ("bytes_out", "BYTES_OUT"), ("errno", "ERRNO"), ("pid", "ECHO_PID"),
        ("_hidden", "ECHO__HIDDEN"), ("2nd_try", "ECHO_2ND_TRY"), ("a-b c=d\n", "A_B_C_D_"), ("größe", "GR__E"),
        ("", "ECHO_"), (String(repeating: "x_", count: 50), String(repeating: "X_", count: 32)),
    ])
    func `a key is as the journal wants it`(name: String, expected: String) {
        #expect(JournalMessage.key(for: name) == expected)
    }

    @Test func `ERRNO is the number, and the text has the name`() {
        let error = NetError(.recv, result: -Int(ECONNRESET), SocketAddress(ip: "::1", port: 7))
        let message = JournalMessage.bytes(entry("connection ended", .debug, LogEntry.fields(of: error)))
        let fields = LogJournalTests.parse(message)
        #expect(fields?["ERRNO"] == "104")
        #expect(fields?["ECHO_CALL"] == "recv")
        #expect(fields?["PEER"] == "[::1]:7")
        #expect(
            fields?["MESSAGE"]
                == "connection ended call=recv errno=ECONNRESET error=\"connection reset by peer\" peer=[::1]:7")
    }

    // MARK: Over the socket

    @Test func `an entry is a datagram, and standard error stays empty`() throws {
        try withJournal { journal, sink, standardError in
            sink.write("one\ntwo", .error, ["peer": "127.0.0.1:1"])
            sink.write("three")
            let first = try #require(journal.fields)
            #expect(first["MESSAGE"] == "one\ntwo peer=127.0.0.1:1")
            #expect(first["PRIORITY"] == "3")
            #expect(first["SYSLOG_IDENTIFIER"] == "echo-server")
            #expect(first["PEER"] == "127.0.0.1:1")
            #expect(journal.fields?["MESSAGE"] == "three")
            #expect(journal.next() == nil)
            #expect(standardError.take().isEmpty)
        }
    }

    @Test func `an entry that is too long for a datagram comes as a sealed file`() throws {
        try withJournal { journal, sink, standardError in
            let message = String(repeating: "0123456789abcdef", count: 20_000)
            sink.write(message)
            let (bytes, file) = try #require(journal.next())
            #expect(bytes.isEmpty)
            let number = try #require(file)
            defer { close(number) }
            lseek(number, 0, SEEK_SET)
            #expect(LogJournalTests.parse(readAll(number))?["MESSAGE"] == message)
            let (getSeals, seal, shrink, grow, write): (Int32, Int32, Int32, Int32, Int32) = (1034, 1, 2, 4, 8)
            let wanted = seal | shrink | grow | write
            #expect(fcntl(number, getSeals) & wanted == wanted)
            #expect(Glibc.write(number, "x", 1) == -1 && errno == EPERM)
            #expect(standardError.take().isEmpty)
        }
    }

    @Test func `a slow journal never blocks: entries are dropped, and the next entry has their number`() throws {
        try withJournal { journal, sink, standardError in
            try withoutWaiting { while sink.droppedLines < 5 { sink.write("entry") } }
            var taken = 0
            while journal.next() != nil { taken += 1 }
            #expect(taken > 0)
            sink.write("found")
            let fields = try #require(journal.fields)
            #expect(fields["MESSAGE"] == "found dropped_lines=5")
            #expect(fields["DROPPED_LINES"] == "5")
            #expect(standardError.take().isEmpty)
        }
    }

    @Test func `a file that the journal has no room for is dropped too, and no descriptor stays`() throws {
        try withJournal { _, sink, standardError in
            let message = String(repeating: "x", count: 300_000)
            try withoutWaiting {
                while sink.droppedLines == 0 { sink.write("entry") }
                for _ in 0..<3 { sink.write(message) }
            }
            #expect(sink.droppedLines == 4)
            #expect(standardError.take().isEmpty)
        }
    }

    @Test func `while the journal is gone, standard error gets lines with priorities, and then the journal again`()
        throws
    {
        try withSocketPath { path in
            let standardError = LogPipe()
            let sink = LogSink(.journal, descriptor: standardError.writing, journalPath: path)
            sink.write("not yet", .warning, ["peer": "p"])
            #expect(standardError.takeText() == "<4>not yet peer=p\n")
            var journal: Journal? = try Journal(path)
            sink.write("there")
            #expect(journal?.fields?["MESSAGE"] == "there")
            journal = nil
            sink.write("gone\nagain", .info)
            #expect(standardError.takeText() == "<6>gone\\nagain\n")
            journal = try Journal(path)
            sink.write("back")
            #expect(journal?.fields?["MESSAGE"] == "back")
            #expect(sink.droppedLines == 0)
        }
    }

    @Test func `with the journal gone and standard error full, lines are counted`() throws {
        try withSocketPath { path in
            let standardError = LogPipe()
            let sink = LogSink(.journal, descriptor: standardError.writing, journalPath: path)
            standardError.fill()
            try withoutWaiting { for _ in 0..<10 { sink.write("lost") } }
            _ = standardError.take()
            sink.write("found")
            #expect(standardError.takeText() == "<5>found dropped_lines=10\n")
        }
    }

    @Test func `a path that is no address is a journal that is gone`() {
        let standardError = LogPipe()
        let path = "/" + String(repeating: "x", count: 200)
        LogSink(.journal, descriptor: standardError.writing, journalPath: path).write("here")
        #expect(standardError.takeText() == "<5>here\n")
    }
}
