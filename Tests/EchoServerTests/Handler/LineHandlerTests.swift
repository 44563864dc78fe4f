import Testing

@testable import EchoServer

@Suite struct LineHandlerTests {
    @Test(arguments: [
        ("", ""), ("\n", "\n"), ("\r\n", "\r\n"), ("abc\n", "cba\n"), ("abc\r\n", "cba\r\n"), ("abc", "cba"),
        ("\rab\n", "ba\r\n"), ("häß\n", "ßäh\n"), ("e\u{301}a\n", "ae\u{301}\n"),
    ])
    func `a line is turned round by its characters, and its end stays at its end`(line: String, reversed: String) {
        #expect(LineHandler.reversed(Array(line.utf8)) == Array(reversed.utf8))
    }

    @Test func `a line of eight times as many flags takes nowhere near 64 times as long`() {
        func quickest(_ flags: Int) -> Duration {
            let line = Array(String(repeating: "\u{1f1e9}\u{1f1ea}", count: flags).utf8) + [0x0a]
            let clock = ContinuousClock()
            let times = (0..<5).map { _ in clock.measure { #expect(LineHandler.reversed(line) == line) } }
            return times.min()!
        }
        #expect(quickest(8000) < quickest(1000) * 32)
    }

    @Test func `a line that is not UTF-8 is turned round by its bytes`() {
        #expect(LineHandler.reversed([0xff, 0x41, 0xc3, 0x0a]) == [0xc3, 0x41, 0xff, 0x0a])
    }

    @Test func `rot13 and lower change ASCII letters alone`() {
        func apply(_ transform: Transform, _ text: String) -> String {
            var bytes = Array(text.utf8)
            bytes.withUnsafeMutableBytes { transform.apply(to: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(apply(.rot13, "AMNZ amnz @[`{ ä") == "NZAM nzam @[`{ ä")
        #expect(apply(.lower, "AMZ amz @[`{ Ä") == "amz amz @[`{ Ä")
        for transform in [Transform.echo, .reverse, .discard, .whoami] { #expect(apply(transform, "aB") == "aB") }
    }
}
