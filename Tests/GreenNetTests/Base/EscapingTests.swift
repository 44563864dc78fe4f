import Testing

@testable import GreenNet

struct EscapingTests {
    @Test(arguments: [
        ("plain ünï", "plain ünï"), ("a\nb\tc\r", #"a\nb\tc\r"#), ("\u{1b}[31mred", #"\u{1b}[31mred"#),
        ("\u{0}", #"\u{0}"#), ("\u{9b}2J", #"\u{9b}2J"#), ("\u{202e}txt", #"\u{202e}txt"#), ("", ""),
    ])
    func `control characters are replaced by escapes`(text: String, shown: String) { #expect(text.escaped == shown) }

    @Test(
        arguments: [
            ([0x2f, 0xff, 0x61], #"/\xffa"#), ([0xc3, 0xa9], "é"), ([0xc3], #"\xc3"#),
            ([0xe2, 0x82, 0x41], #"\xe2\x82A"#), ([], ""),
            ([0xff, 0x0a], "\\xff\n"), ([0xed, 0xa0, 0x80], #"\xed\xa0\x80"#),
        ] as [([UInt8], String)])
    func `bytes that are not UTF-8 are shown one by one`(bytes: [UInt8], shown: String) {
        #expect(String(showing: bytes) == shown)
    }

    @Test func `bytes are text only if all of them are UTF-8`() {
        #expect(String(utf8: [0xc3, 0xa9] as [UInt8]) == "é")
        #expect(String(utf8: [0x61, 0xff] as [UInt8]) == nil)
    }
}
