import GreenNet
import Testing

@testable import EchoServer

@Suite struct SmallServiceTests {
    @Test func `the time is the seconds since 1900, in the order of the network`() {
        #expect(SmallService.time.answer(at: 0) == [0x83, 0xAA, 0x7E, 0x80])
        // From RFC 868: 2,629,584,000 is the first of May 1983.
        #expect(SmallService.time.answer(at: 420_595_200) == [0x9C, 0xBC, 0x44, 0x80])
        // The number has 32 bits and begins anew in 2036.
        #expect(SmallService.time.answer(at: 2_085_978_496) == [0, 0, 0, 0])
    }

    @Test func `the day is text in UTC`() {
        #expect(
            SmallService.daytime.answer(at: 0).map { String(decoding: $0, as: UTF8.self) }
                == "Thursday, January 01, 1970 00:00:00-UTC\r\n")
    }

    @Test func `lines of characters move on by one`() {
        let lines = String(decoding: CharacterGenerator.lines, as: UTF8.self).split(separator: "\r\n")
        #expect(lines.count == 95)
        #expect(lines.allSatisfy { $0.count == 72 })
        #expect(lines[0].hasPrefix(" !\"#$"))
        #expect(lines[1].hasPrefix("!\"#$%"))
        #expect(lines[94].hasPrefix("~ !"))
        let repeated = CharacterGenerator.bytes(CharacterGenerator.lines.count + 1)
        #expect(repeated.last == repeated.first)
        #expect(CharacterGenerator.bytes(0) == [])
    }

    // MARK: Settings

    private func settings(_ arguments: [String]) throws -> Settings {
        try Settings(parsing: arguments)
    }

    @Test(arguments: [
        ("service", "qotd", SmallService.names), ("chargen-limit", "many", ByteAmount.rule),
        ("udp-rate", "0", "a whole number from 1 to 10000000"),
        ("udp-rate", "10000001", "a whole number from 1 to 10000000"),
    ])
    func `a bad value is refused, with option, value and what was expected`(name: String, value: String, rule: String) {
        let failure = #expect(throws: StartFailure.self) { try settings(["--\(name)=\(value)"]) }
        #expect(failure?.message == "--\(name): '\(value)' is not \(rule)")
    }

    @Test func `the ends of the ranges are allowed, and the listing shows them`() throws {
        for (name, value) in [
            ("udp-rate", "1"), ("udp-rate", "10000000"), ("chargen-limit", "0"), ("chargen-limit", "1000000000000"),
            ("service", "daytime"),
        ] {
            let settings = try settings(["--\(name)=\(value)"])
            #expect(Settings.all.first { $0.name == name }?.show(settings) == value)
        }
        #expect(try settings(["--udp"]).services.servesDatagrams)
        #expect(try !settings([]).services.servesDatagrams)
    }

    @Test func `datagrams are refused with a unix socket`() {
        let failure = #expect(throws: StartFailure.self) { try settings(["--udp", "--unix-socket=/x"]) }
        #expect(failure?.message == "--udp: 'yes' needs a TCP listener: unix-socket is /x")
    }
}

@Suite struct SourceLimitTests {
    private let now = Deadline.now
    private let peer = SocketAddress(ip: "192.0.2.1", port: 4000)!

    @Test func `an address has its number of answers each second, whatever its port`() {
        var limit = SourceLimit(rate: 2)
        let first = [1, 2, 3].map { limit.admits(peer.with(port: $0), now: now) }
        #expect(first == [true, true, false])
        let other = limit.admits(SocketAddress(ip: "192.0.2.2", port: 1)!, now: now)
        #expect(other)
        let later = [999, 1001].map { limit.admits(peer, now: now + .milliseconds($0)) }
        #expect(later == [false, true])
    }

    @Test func `a second has answers for a limited number of addresses`() throws {
        var limit = SourceLimit(rate: 9)
        let admitted = (0..<SourceLimit.mostSources + 10).count { number in
            let ip = "10.\(number >> 16).\(number >> 8 & 255).\(number & 255)"
            return limit.admits(SocketAddress(ip: ip, port: 1)!, now: now)
        }
        #expect(admitted == SourceLimit.mostSources)
        // An address that was counted before still has its answers.
        let again = limit.admits(SocketAddress(ip: "10.0.0.0", port: 1)!, now: now)
        #expect(again)
    }

    @Test func `a unix address has none`() {
        var limit = SourceLimit(rate: 9)
        let isAdmitted = limit.admits(.unix(path: "/x"), now: now)
        #expect(!isAdmitted)
    }
}
