import Glibc
import GreenNet

// The headers of nginx for a small file.
private let answer = """
    HTTP/1.1 200 OK\r
    Server: nginx/1.22.1\r
    Date: Mon, 30 Nov 2026 10:00:00 GMT\r
    Content-Type: text/plain\r
    Content-Length: 5\r
    Last-Modified: Mon, 30 Nov 2026 09:00:00 GMT\r
    Connection: keep-alive\r
    ETag: "692c0e10-5"\r
    Accept-Ranges: bytes\r
    \r
    hello
    """

/// Answers `GET /250` after 250 ms, over connections that stay open, and `GET /cut` with half of an answer, after which it closes.  Prints its port, and serves until it is killed.
func serveHTTP() throws {
    let server = try StreamServer(on: .loopback(port: 0)) { connection in
        var request: [UInt8] = []
        while let bytes = try connection.receive(upTo: 4096) {
            request += bytes
            guard request.suffix(4) == [13, 10, 13, 10] else { continue }
            let path = request.drop { $0 != UInt8(ascii: "/") }.dropFirst().prefix { $0 != UInt8(ascii: " ") }
            if path.elementsEqual("cut".utf8) {
                try connection.sendAll("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
                return try Greenlet.sleep(for: .milliseconds(1))
            }
            if let delay = Int64(String(decoding: path, as: UTF8.self)), delay > 0 {
                try Greenlet.sleep(for: .milliseconds(delay))
            }
            request = []
            try connection.sendAll(answer)
        }
    }
    print("listening on \(server.listeners[0].address)")
    fflush(nil)
    try server.run()
}
