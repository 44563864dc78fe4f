import Foundation
import Glibc
import Logging
import Testing

@testable import EchoServer

@Suite struct LogLineTests {
    private func text(_ entry: LogEntry, longest: Int = 4096) -> String {
        String(decoding: LogLine.text(entry, longest: longest), as: UTF8.self)
    }

    private func json(_ entry: LogEntry, longest: Int = 4096) throws -> [String: any Sendable] {
        let line = LogLine.json(entry, longest: longest)
        #expect(line.last == UInt8(ascii: "\n"))
        #expect(!line.dropLast().contains { $0 < 0x20 || $0 == 0x7f })
        let object = try JSONSerialization.jsonObject(with: Data(line))
        return try #require(object as? [String: any Sendable])
    }

    // MARK: Text

    @Test func `a line of text is the time in UTC with milliseconds, the level, the message, the fields in order`() {
        let entry = entry("accepting again", .warning, ["peer": "127.0.0.1:4242", "bytes": .number(17), "a": "1"])
        #expect(
            text(entry) == "2026-11-21T03:28:47.123Z warning accepting again a=1 bytes=17 peer=127.0.0.1:4242\n")
    }

    @Test(arguments: [
        (0, 0, "1970-01-01T00:00:00.000Z"), (951_782_399, 999_999_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400, 1_000_000, "2000-02-29T00:00:00.001Z"), (-1, 5_000_000, "1969-12-31T23:59:59.005Z"),
        (253_402_300_799, 0, "9999-12-31T23:59:59.000Z"),
    ])
    func `a moment has its date`(seconds: Int, nanoseconds: Int, expected: String) {
        let text = LogLine.timestamp(timespec(tv_sec: seconds, tv_nsec: nanoseconds))
        #expect(String(decoding: text, as: UTF8.self) == expected)
    }

    @Test(arguments: [("listening on", "address"), ("admin on", "admin_address")])
    func `a message that needs an address ends with it, and text does not repeat it`(
        message: String, key: String
    ) throws {
        let entry = entry(message, .notice, ["a": "1", key: "/run/a", "pid": .number(1)])
        #expect(text(entry).hasSuffix(" notice \(message) /run/a a=1 pid=1\n"))
        #expect(try json(entry)["msg"] as? String == "\(message) /run/a")
        #expect(try json(entry)[key] as? String == "/run/a")
    }

    @Test func `such a message without its address is a message like others`() {
        #expect(text(entry("listening on", .notice, ["a": "1"])).hasSuffix(" notice listening on a=1\n"))
        #expect(text(entry("listening", .notice, ["address": "x"])).hasSuffix(" notice listening address=x\n"))
    }

    @Test(arguments: [
        ("plain", "plain"), ("/run/a.sock", "/run/a.sock"), ("", #""""#), ("two words", #""two words""#),
        ("a=b", #""a=b""#), (#"say "x""#, #""say \"x\"""#), (#"back\slash"#, #""back\\slash""#),
        ("two\nlines\r\t", #""two\nlines\r\t""#), ("\u{1b}[31mred", #""\u{1b}[31mred""#), ("\0", #""\u{0}""#),
        ("\u{7f}\u{9b}31m", #""\u{7f}\u{9b}31m""#), ("\u{202e}live\u{2028}", #""\u{202e}live\u{2028}""#),
        ("größe", "größe"), ("🐟", "🐟"),
    ])
    func `a value has quotation marks where its end would be unclear without them`(value: String, expected: String) {
        #expect(text(entry("m", .info, ["key": .string(value)])).hasSuffix(" info m key=\(expected)\n"))
    }

    @Test func `control characters in a message or a key end no line and reach no terminal`() {
        let line = text(entry("a\nb\u{1b}c\u{9b}d", .info, ["k\ney": "v"]))
        #expect(line.hasSuffix(#" info a\nb\u{1b}c\u{9b}d k\ney=v"# + "\n"))
    }

    @Test func `for standard error that the journal reads, a line begins with its priority`() {
        let expected: [(Logger.Level, Int)] = [
            (.trace, 7), (.debug, 7), (.info, 6), (.notice, 5), (.warning, 4), (.error, 3), (.critical, 2),
        ]
        for (level, priority) in expected {
            let line = LogLine.prefixed(entry("hello", level, ["k": "v"]), longest: 4096)
            #expect(String(decoding: line, as: UTF8.self) == "<\(priority)>hello k=v\n")
        }
    }

    // MARK: JSON

    @Test func `a line of JSON begins with time, level and message`() {
        let line = LogLine.json(entry("on /run/x", .notice, ["path": "/run/x", "n": .number(-3)]), longest: 4096)
        let expected =
            #"{"ts":"2026-11-21T03:28:47.123Z","level":"notice","msg":"on /run/x","n":-3,"path":"/run/x"}"#
        #expect(String(decoding: line, as: UTF8.self) == expected + "\n")
    }

    @Test func `any text comes back from JSON as it was`() throws {
        let everything = (0..<0x250).compactMap { Unicode.Scalar($0) }.map(String.init).joined()
        let text = everything + #""\/"# + "\u{2028}\u{202e}\u{feff}🐟\u{10ffff}"
        #expect(try json(entry(text))["msg"] as? String == text)
        #expect(try json(entry("m", .info, ["key": .string(text)]))["key"] as? String == text)
        #expect(try json(entry("m", .info, [text: "value"]))[text] as? String == "value")
    }

    @Test func `invalid UTF-8 becomes replacement characters`() throws {
        let text = String(decoding: [0x61, 0xff, 0xc3, 0x62, 0xed, 0xa0, 0x80] as [UInt8], as: UTF8.self)
        #expect(try json(entry(text))["msg"] as? String == text)
    }

    @Test func `numbers, truths, lists and objects are JSON's own`() throws {
        let fields: Logger.Metadata = [
            "int": .number(Int64.max), "double": .stringConvertible(1.5), "nan": .stringConvertible(Double.nan),
            "flag": .stringConvertible(true), "list": ["a", ["b"]], "object": ["x": "1", "y": .number(2)],
        ]
        let object = try json(entry("m", .info, fields))
        #expect(object["int"] as? Int64 == .max)
        #expect(object["double"] as? Double == 1.5)
        #expect(object["nan"] as? String == "nan")
        #expect(object["flag"] as? Bool == true)
        #expect((object["list"] as? [any Sendable])?.first as? String == "a")
        #expect((object["object"] as? [String: any Sendable])?["y"] as? Int == 2)
    }

    @Test func `a field does not take the place of time, level and message`() throws {
        let object = try json(entry("m", .info, ["msg": "x", "level": "y", "ts": "z"]))
        #expect(object["msg"] as? String == "m")
        #expect(object["level"] as? String == "info")
        #expect(object["msg_"] as? String == "x")
    }

    // MARK: Length

    @Test(arguments: ["x", "\"", "\n", "é", "🐟"])
    func `a text that is too long is cut between characters, and stays one line of its format`(piece: String) throws {
        let long = String(repeating: piece, count: 5000)
        for entry in [entry(long), entry("m", .info, ["key": .string(long)]), entry(long, .info, ["a": .string(long)])]
        {
            let text = LogLine.text(entry, longest: 4096)
            #expect(text.count <= 4096 && text.count > 500)
            #expect(text.firstIndex(of: UInt8(ascii: "\n")) == text.count - 1)
            #expect(String(validating: text, as: UTF8.self)?.contains("…") == true)
            #expect(LogLine.prefixed(entry, longest: 4096).count <= 4096)
            #expect(LogLine.json(entry, longest: 4096).count <= 4096)
            let object = try json(entry)
            #expect(object.values.contains { ($0 as? String)?.hasSuffix("…") == true })
        }
    }

    @Test func `a text that just fits is not cut`() {
        let line = text(entry("m"))
        #expect(text(entry("m"), longest: line.utf8.count) == line)
        let long = String(repeating: "x", count: 4096 - line.utf8.count + 1)
        #expect(text(entry(long)).utf8.count == 4096)
        #expect(!text(entry(long)).contains("…"))
        #expect(text(entry(long + "x")).contains("…"))
    }

    @Test func `with too many fields for a line, the message is left`() throws {
        let fields = Logger.Metadata(uniqueKeysWithValues: (0..<2000).map { ("key\($0)", "value") })
        #expect(try json(entry("hello", .info, fields))["msg"] as? String == "hello")
        #expect(text(entry("hello", .info, fields)) == "2026-11-21T03:28:47.123Z info hello\n")
    }
}
