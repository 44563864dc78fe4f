import Glibc
import Testing

@testable import ProgramKit

struct NumericOptionTests {
    private static let whole = NumericOption("size", 1...100, "bytes")
    private static let rate = NumericOption("rate", 0.01...1e7, "messages a second")
    private static let time = NumericOption(
        "timeout", .milliseconds(1)...Duration.seconds(60), "seconds", orZero: .zero)

    @Test(arguments: [("1", 1), ("100", 100), ("+7", 7), ("007", 7)])
    func `a whole number in its range is taken, both ends too`(text: String, number: Int) throws {
        #expect(try NumericOptionTests.whole.checked(text) == number)
    }

    @Test(arguments: [
        "0", "101", "-1", "", " ", "1 ", "1.5", "1e1", "0x10", "nan", "inf", "99999999999999999999", "1,2", "\u{661}",
    ])
    func `any other value is refused, with option, range and value`(text: String) {
        let shown = text.isEmpty || text.contains(" ") || text == "\u{661}" ? text.debugDescription : text
        #expect(throws: OptionComplaint("--size must be a whole number from 1 to 100 bytes, not \(shown)")) {
            try NumericOptionTests.whole.checked(text)
        }
    }

    @Test(arguments: [("0.01", 0.01), ("1e-2", 0.01), ("10000000", 1e7), (".5", 0.5)])
    func `a number with a fraction in its range is taken`(text: String, number: Double) throws {
        #expect(try NumericOptionTests.rate.checked(text) == number)
    }

    @Test(arguments: [
        "1e300", "0.0099", "10000000.1", "0", "-1", "", "nan", "inf", "infinity", "0x1p3", "1e400", "1e-400",
    ])
    func `an invalid rate is refused in words`(text: String) {
        let shown = text.isEmpty ? "\"\"" : text
        #expect(
            throws: OptionComplaint("--rate must be from 0.01 to 10000000 messages a second, not \(shown)")
        ) { try NumericOptionTests.rate.checked(text) }
    }

    @Test(arguments: [
        ("0.001", Duration.milliseconds(1)), ("60", .seconds(60)), ("0.3", .milliseconds(300)), ("1e1", .seconds(10)),
        ("0", .zero), ("2.7", .milliseconds(2700)),
    ])
    func `a time is in seconds, exact to the nanosecond`(text: String, time: Duration) throws {
        #expect(try NumericOptionTests.time.checked(text) == time)
    }

    @Test(arguments: ["0.000999", "60.000001", "-0.5", "1e-30", "-1e-30", "1e300", "nan", "inf", "5 s", "five", ""])
    func `an invalid time or a time out of range is refused`(text: String) {
        #expect(throws: OptionComplaint.self) { try NumericOptionTests.time.checked(text) }
    }

    @Test func `control characters are escaped and long values cut in messages`() {
        let complaint = #expect(throws: OptionComplaint.self) {
            try NumericOptionTests.whole.checked("\u{1B}[2J" + String(repeating: "9", count: 100_000))
        }
        #expect(complaint?.description.utf8.count ?? 0 < 200)
        #expect(complaint?.description.utf8.allSatisfy { $0 >= 0x20 } == true)
    }

    @Test func `the first bad number of a list is named`() throws {
        #expect(try NumericOptionTests.whole.values(of: "1,10,100") == [1, 10, 100])
        for (text, bad) in [("1,x,0", "x"), ("1,101", "101"), (",1", "\"\""), ("", "\"\""), ("1,", "\"\"")] {
            #expect(throws: OptionComplaint("each of --size must be a whole number from 1 to 100 bytes, not \(bad)")) {
                try NumericOptionTests.whole.values(of: text)
            }
        }
    }
}

/// The man pages have the ranges of the table.
struct ManPageTests {
    private static func page(_ name: String) throws -> String {
        let directory = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let text = try #require(contents(of: "/\(directory)/packaging/man/\(name)"))
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func contents(of path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while true {
            let byte = getc(file)
            if byte < 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(UInt8(byte))
        }
    }

    /// The option's paragraph in the page: from its name in a list to the next option.
    private static func paragraph(of option: String, in page: String, after heading: String) throws -> Substring {
        let section = try #require(page.firstRange(of: heading)).upperBound
        let rest = page[section...]
        let start = try #require(
            rest.firstRange(of: "Fl -\(option) Ar") ?? rest.firstRange(of: "Fl -\(option) Cm"), "--\(option)")
        let text = rest[start.upperBound...]
        return text[..<(text.firstRange(of: ".It Fl")?.lowerBound ?? text.endIndex)]
    }

    @Test(arguments: [
        ("port", NumericOptions.Server.port.span), ("workers", NumericOptions.Server.workers.span),
        ("processes", NumericOptions.Server.processes.span), ("pool-size", NumericOptions.Server.poolSize.span),
        ("buffer-size", NumericOptions.Server.bufferSize.span), ("backlog", NumericOptions.Server.backlog.span),
        ("max-connections", NumericOptions.Server.maxConnections.span),
        ("max-connections-per-ip", NumericOptions.Server.maxConnectionsPerIP.span),
        ("keepalive", NumericOptions.Server.keepAliveIdle.span),
        ("keepalive", NumericOptions.Server.keepAliveCount.span),
        ("tcp-user-timeout", NumericOptions.Server.tcpUserTimeout.span), ("dscp", NumericOptions.Server.dscp.span),
        ("defer-accept", NumericOptions.Server.deferAccept.span),
        ("fast-open", NumericOptions.Server.fastOpen.span), ("udp-rate", NumericOptions.Server.udpRate.span),
        ("fault-seed", NumericOptions.Server.faultSeed.span),
        ("corrupt", NumericOptions.Server.faultProbability.span),
        ("refuse", NumericOptions.Server.faultProbability.span),
    ])
    func `the server's page has the range of each option`(option: String, span: String) throws {
        let page = try ManPageTests.page("echo-server.8")
        #expect(try ManPageTests.paragraph(of: option, in: page, after: ".Sh OPTIONS").contains(span))
        #expect(page.contains("Times are from \(NumericOptions.Server.idleTimeout.span) seconds"))
    }

    private typealias Client = NumericOptions.Client
    private typealias Compare = NumericOptions.Compare
    private typealias Workload = NumericOptions.Workload

    @Test(arguments: [
        (".Sh OPTIONS", "timeout", Client.timeout.span), (".Ss Of load", "connections", Client.connections.span),
        (".Ss Of load", "size", Client.size.span), (".Ss Of load", "depth", Client.depth.span),
        (".Ss Of load", "duration", Client.duration.span), (".Ss Of load", "messages", Client.messages.span),
        (".Ss Of load", "rate", Client.rate.span), (".Ss Of load", "ramp", Client.ramp.span),
        (".Ss Of load", "threads", Client.threads.span), (".Ss Of load", "processes", Client.processes.span),
        (".Ss Of compare", "connections", Compare.connections.span), (".Ss Of compare", "rounds", Compare.rounds.span),
        (".Ss Of compare", "pool-size", Compare.poolSize.span), (".Ss Of compare", "workers", Compare.workers.span),
        (".Ss Of workload", "tasks", Workload.tasks.span), (".Ss Of workload", "rounds", Workload.rounds.span),
        (".Ss Of workload", "length", Workload.length.span),
    ])
    func `the client's page has the range of each option`(heading: String, option: String, span: String) throws {
        let page = try ManPageTests.page("echo-client.1")
        #expect(try ManPageTests.paragraph(of: option, in: page, after: heading).contains(span))
        #expect(page.contains("one measurement, from \(Compare.duration.span) seconds"))
        #expect(page.contains(".Ar port is from \(Client.port.span)"))
    }
}
