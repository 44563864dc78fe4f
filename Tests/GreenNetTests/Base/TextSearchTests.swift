import GreenNet
import Testing

@Suite struct TextSearchTests {
    @Test(
        arguments: [
            ("", [""]), ("...", ["", ""]), ("4...64", ["4", "64"]), ("......", ["", "", ""]), ("4..64", ["4..64"]),
            ("....", ["", "."]), ("a...", ["a", ""]), ("..", [".."]), ("é...é", ["é", "é"]),
        ] as [(String, [String])])
    func `a text is split where the separator is, from its start on`(text: String, pieces: [String]) {
        #expect(text.pieces(between: "...") == pieces)
    }

    @Test func `a text holds its parts, byte by byte`() {
        #expect("abc".holds("abc") && "abc".holds("b") && !"abc".holds("ac") && !"".holds("a"))
        // One character of two code points, of which only one is looked for.
        #expect("a\r\nb".holds("\n"))
    }

    @Test func `a part is exchanged wherever it is, and what takes its place is not searched`() {
        #expect("a&b&&".exchanging("&", for: "&amp;") == "a&amp;b&amp;&amp;")
        #expect("aaa".exchanging("aa", for: "b") == "ba")
        #expect("plain".exchanging("&", for: "&amp;") == "plain")
    }
}
