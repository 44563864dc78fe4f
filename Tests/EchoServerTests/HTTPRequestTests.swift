import Testing

@testable import EchoServer

@Suite struct HTTPRequestTests {
    private func request(_ text: String) throws(HTTPFailure) -> HTTPRequest { try HTTPRequest(head: Array(text.utf8)) }

    @Test(arguments: [
        "GET /metrics HTTP/1.1\r\nHost: x\r\n", "GET /metrics HTTP/1.0\r\n", "GET /metrics HTTP/1.1\nhost:x\n",
        "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n", "GET /metrics HTTP/1.1\r\nHost:\r\n",
    ])
    func `what is asked for is a path`(text: String) throws {
        let request = try request(text)
        #expect(request.path == "/metrics")
        #expect(!request.wantsHeadOnly)
    }

    @Test func `HEAD wants no body`() throws { #expect(try request("HEAD / HTTP/1.0\r\n").wantsHeadOnly) }

    @Test(arguments: [
        "", "GET\r\n", "GET /\r\n", "GET / HTTP/1.1\r\n", "GET  / HTTP/1.0\r\n", "GET / HTTP/1.0 \r\n",
        " GET / HTTP/1.0\r\n",
        "GET metrics HTTP/1.0\r\n", "GET http://x/ HTTP/1.0\r\n", "G@T / HTTP/1.0\r\n", "GET / HTTP/1\r\n",
        "GET / HTTP/1.x\r\n", "GET / http/1.0\r\n", "GET / HTTP/11.0\r\n", "GET /\u{0} HTTP/1.0\r\n",
        "GET /\u{7f} HTTP/1.0\r\n", "GET / HTTP/1.0\r\nno field\r\n", "GET / HTTP/1.0\r\n: x\r\n",
        "GET / HTTP/1.0\r\nA b: x\r\n", "GET / HTTP/1.0\r\n folded: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHOST: y\r\n",
        "GET /\rx HTTP/1.0\r\n", "GET /\tx HTTP/1.0\r\n", "\r\nGET / HTTP/1.0\r\n",
    ])
    func `what is no request is refused`(text: String) {
        #expect(throws: HTTPFailure.badRequest) { try request(text) }
    }

    /// To Swift, each of these is one character with what stands before it.
    @Test(arguments: ["\u{5bf}", "\u{301}", "\u{200d}", "\u{fe0f}"])
    func `what combines with a space or a line feed leaves it one`(mark: String) throws {
        #expect(throws: HTTPFailure.badRequest) { try request("GET /a \(mark)b HTTP/1.0\r\n") }
        #expect(throws: HTTPFailure.badRequest) { try request("GET / HTTP/1.0\r\n\(mark)A: x\r\n") }
        #expect(throws: HTTPFailure.badRequest) { try request("GET / HTTP/1.0\r\nA:\(mark)x\rb\r\n") }
        #expect(try request("GET /\(mark)?\(mark) HTTP/1.0\r\nA:\(mark)\r\n").path == "/\(mark)")
    }

    @Test func `bytes that are no text are refused`() {
        #expect(throws: HTTPFailure.badRequest) { try HTTPRequest(head: Array("GET /".utf8) + [0xff]) }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS", "get", "CONNECT"])
    func `other methods are not allowed`(method: String) {
        #expect(throws: HTTPFailure.methodNotAllowed) { try request("\(method) / HTTP/1.0\r\n") }
    }

    @Test(arguments: ["HTTP/2.0", "HTTP/0.9"])
    func `other versions are not served`(version: String) {
        #expect(throws: HTTPFailure.versionNotSupported) { try request("GET / \(version)\r\nHost: x\r\n") }
    }
}
