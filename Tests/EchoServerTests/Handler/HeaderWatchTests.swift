import Testing

@testable import EchoServer

@Suite struct HeaderWatchTests {
    /// Whether a header is found in the pieces; nil where the watch still waits.
    private func found(_ pieces: [String]) -> Bool? {
        var watch = HeaderWatch()
        for piece in pieces where Array(piece.utf8).withUnsafeBytes({ watch.isComplete(with: $0) }) { return true }
        return watch.isOver ? false : nil
    }

    @Test(arguments: ["PROXY TCP4 1.1.1.1", "PROXY TCP6 ", "PROXY UNKNOWN\r\n", "\r\n\r\n\0\r\nQUIT\n!"])
    func `the beginning of a header is found, in one piece or in many`(text: String) {
        #expect(found([text]) == true)
        #expect(found(text.unicodeScalars.map { String($0) }) == true)
    }

    @Test(arguments: ["PROXY UDP4", "hello, PROXY TCP4 ", "\r\n\r\nQUIT\n", "proxy TCP4 1.1.1.1"])
    func `other bytes are none, and the watch is over`(text: String) {
        #expect(found([text]) == false)
        #expect(found(text.unicodeScalars.map { String($0) }) == false)
    }

    @Test(arguments: ["", "PROXY ", "PROXY TCP4", "\r\n"])
    func `bytes that may become one keep the watch waiting`(text: String) { #expect(found([text]) == nil) }
}
