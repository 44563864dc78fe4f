import Testing

@testable import EchoServer

@Suite struct HTTPRequestTests {
    private func request(_ text: String) throws(HTTPFailure) -> HTTPRequest { try HTTPRequest(head: Array(text.utf8)) }

    @Test(arguments: [
        "GET /metrics HTTP/1.1\r\nHost: x\r\n", "GET /metrics HTTP/1.0\r\n", "GET /metrics HTTP/1.1\nhost:x\n",
        "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n", "GET /metrics HTTP/1.1\r\nHost:\r\n",
        "\r\nGET /metrics HTTP/1.0\r\n", "\n\r\n\nGET /metrics HTTP/1.0\r\n", "GET http://x/metrics HTTP/1.0\r\n",
        "GET HTTP://x.example:80/metrics?y HTTP/1.1\r\nHost: z\r\n", "GET https://[::1]:80/metrics HTTP/1.0\r\n",
        "GET /metrics HTTP/1.1\r\nHost: \t127.0.0.1:9090 \t\r\n",
        "GET /metrics HTTP/1.1\r\nHost: [fe80::1%25eth0]:9\r\n",
        "GET /m%65tric%73 HTTP/1.0\r\n", "GET /metrics?%zz HTTP/1.0\r\n", "GET /metrics HTTP/1.9\r\nHost: a_b\r\n",
    ])
    func `a request names a path`(text: String) throws {
        let request = try request(text)
        #expect(request.path == "/metrics")
        #expect(!request.wantsHeadOnly)
    }

    @Test(arguments: [
        ("http://x", "/"), ("http://x?y=/z", "/"), ("/?", "/"), ("/%2Fmetrics", "/%2Fmetrics"),
        ("/%20%00%c3", "/%20%00%c3"),
        ("/%7e%7E", "/~~"), ("//metrics", "//metrics"),
    ])
    func `the path of a request is normalized`(target: String, path: String) throws {
        #expect(try request("GET \(target) HTTP/1.0\r\n").path == path)
    }

    @Test func `OPTIONS asks about a page or about the server`() throws {
        #expect(try request("OPTIONS * HTTP/1.0\r\n").path == "*")
        let one = try request("OPTIONS /readyz HTTP/1.0\r\n")
        #expect(one.method == .options && one.path == "/readyz" && !one.wantsHeadOnly)
        #expect(throws: HTTPFailure.badRequest) { try request("GET * HTTP/1.0\r\n") }
    }

    @Test func `the value of a field may be in any encoding, the first line is in UTF-8`() throws {
        let head = Array("GET / HTTP/1.1\r\nHost: x\r\nA: caf".utf8) + [0xe9, 13, 10]
        #expect(try HTTPRequest(head: head).path == "/")
        #expect(throws: HTTPFailure.badRequest) {
            try HTTPRequest(head: Array("GET /caf".utf8) + [0xe9] + Array(" HTTP/1.0\r\n".utf8))
        }
    }

    @Test func `HEAD asks for no body`() throws { #expect(try request("HEAD / HTTP/1.0\r\n").wantsHeadOnly) }

    @Test(arguments: [
        "", "GET\r\n", "GET /\r\n", "GET / HTTP/1.1\r\n", "GET  / HTTP/1.0\r\n", "GET / HTTP/1.0 \r\n",
        " GET / HTTP/1.0\r\n",
        "GET metrics HTTP/1.0\r\n", "GET ftp://x/ HTTP/1.0\r\n", "GET http:///metrics HTTP/1.0\r\n",
        "GET http:/x HTTP/1.0\r\n",
        "GET http://a@x/ HTTP/1.0\r\n", "GET http://x/ HTTP/1.1\r\n", "GET http HTTP/1.0\r\n",
        "GET http://[/ HTTP/1.0\r\n",
        "GET x:80 HTTP/1.0\r\n", "GET /%zz HTTP/1.0\r\n", "GET /%4 HTTP/1.0\r\n", "GET /% HTTP/1.0\r\n",
        "GET /#x HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n", "GET / HTTP/1.1\r\nHost: ::1\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n", "GET / HTTP/1.1\r\nHost: caf\u{e9}\r\n", "GET / HTTP/1.1\r\nHost : x\r\n",
        "GET / HTTP/1.0\r\nA: b\r\n c\r\n", "\r\n\r\n", "GET / HTTP/1.0\r\nA: b\rc\r\n",
        "GET / HTTP/1.0\r\nA: \u{0}\r\n",
        "G@T / HTTP/1.0\r\n", "GET / HTTP/1\r\n",
        "GET / HTTP/1.x\r\n", "GET / http/1.0\r\n", "GET / HTTP/11.0\r\n", "GET /\u{0} HTTP/1.0\r\n",
        "GET /\u{7f} HTTP/1.0\r\n", "GET / HTTP/1.0\r\nno field\r\n", "GET / HTTP/1.0\r\n: x\r\n",
        "GET / HTTP/1.0\r\nA b: x\r\n", "GET / HTTP/1.0\r\n folded: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHOST: y\r\n",
        "GET /\rx HTTP/1.0\r\n", "GET /\tx HTTP/1.0\r\n",
    ])
    func `an invalid request is refused`(text: String) {
        #expect(throws: HTTPFailure.badRequest) { try request(text) }
    }

    /// Swift combines each of these with the byte before it into one character.
    @Test(arguments: ["\u{5bf}", "\u{301}", "\u{200d}", "\u{fe0f}"])
    func `a combining character leaves the space or line feed before it as it is`(mark: String) throws {
        #expect(throws: HTTPFailure.badRequest) { try request("GET /a \(mark)b HTTP/1.0\r\n") }
        #expect(throws: HTTPFailure.badRequest) { try request("GET / HTTP/1.0\r\n\(mark)A: x\r\n") }
        #expect(throws: HTTPFailure.badRequest) { try request("GET / HTTP/1.0\r\nA:\(mark)x\rb\r\n") }
        #expect(try request("GET /\(mark)?\(mark) HTTP/1.0\r\nA:\(mark)\r\n").path == "/\(mark)")
    }

    @Test func `bytes that are not text are refused`() {
        #expect(throws: HTTPFailure.badRequest) { try HTTPRequest(head: Array("GET /".utf8) + [0xff]) }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "TRACE", "get", "CONNECT"])
    func `other methods are not allowed`(method: String) {
        #expect(throws: HTTPFailure.methodNotAllowed) { try request("\(method) / HTTP/1.0\r\n") }
    }

    @Test(arguments: ["HTTP/2.0", "HTTP/0.9"])
    func `other versions are not served`(version: String) {
        #expect(throws: HTTPFailure.versionNotSupported) { try request("GET / \(version)\r\nHost: x\r\n") }
    }
}

@Suite struct HTTPHeadTests {
    /// The head with which `text` begins, fed byte by byte; nil if the head is not complete.
    private func head(of text: String) throws(HTTPFailure) -> String? {
        var head = HTTPHead()
        for byte in text.utf8 {
            if let bytes = try head.add([byte]) { return String(decoding: bytes, as: UTF8.self) }
        }
        return nil
    }

    @Test(arguments: [
        "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\n\n", "GET / HTTP/1.0\r\n\n", "A\r\nB: c\r\n\r\n", "\r\nA\r\n\r\n",
        "\r\n\r\n\n\nA\r\n\r\n",
    ])
    func `it ends with the empty line behind its fields, however it comes`(text: String) throws {
        #expect(try head(of: text + "GET /next") == text)
        var whole = HTTPHead()
        #expect(try whole.add(Array((text + "GET /next").utf8)) == Array(text.utf8))
        #expect(try head(of: String(text.dropLast())) == nil)
    }

    @Test(arguments: [8191, 8192, 8193])
    func `it may have 8192 bytes`(length: Int) throws {
        let bytes = Array(repeating: UInt8(ascii: "x"), count: length - 4) + Array("\r\n\r\n".utf8)
        var head = HTTPHead()
        if length <= HTTPHead.longest {
            #expect(try head.add(bytes) == bytes)
        } else {
            #expect(throws: HTTPFailure.headTooLong) { try head.add(bytes) }
        }
    }

    @Test func `empty lines without end are too long`() {
        var head = HTTPHead()
        #expect(throws: HTTPFailure.headTooLong) { try head.add(Array(repeating: UInt8(ascii: "\n"), count: 8192)) }
        #expect(head.isEmpty)
    }
}
