/// An answer of HTTP/1.1, after which the connection is closed.
struct HTTPResponse {
    let status: Status
    let type: ContentType
    let body: String

    enum Status: String {
        case ok = "200 OK"
        case noContent = "204 No Content"
        case badRequest = "400 Bad Request"
        case notFound = "404 Not Found"
        case methodNotAllowed = "405 Method Not Allowed"
        case timeout = "408 Request Timeout"
        case headTooLong = "431 Request Header Fields Too Large"
        case unavailable = "503 Service Unavailable"
        case versionNotSupported = "505 HTTP Version Not Supported"
    }

    enum ContentType: String {
        case text = "text/plain; charset=utf-8"
        case html = "text/html; charset=utf-8"
        /// Prometheus' text format.
        case metrics = "text/plain; version=0.0.4; charset=utf-8"
    }

    init(_ status: Status, _ body: String, _ type: ContentType = .text) {
        (self.status, self.body, self.type) = (status, body, type)
    }

    /// To OPTIONS, where GET would have status 200: the methods that are allowed.
    static let options = HTTPResponse(.noContent, "")

    init(_ failure: HTTPFailure) {
        let status: Status =
            switch failure {
            case .badRequest: .badRequest
            case .notFound: .notFound
            case .methodNotAllowed: .methodNotAllowed
            case .timeout: .timeout
            case .headTooLong: .headTooLong
            case .versionNotSupported: .versionNotSupported
            }
        self.init(status, "\(status.rawValue)\n")
    }

    func bytes(headOnly: Bool = false) -> [UInt8] {
        Array((head + (headOnly ? "" : body)).utf8)
    }

    private var head: String {
        var lines = [
            "HTTP/1.1 \(status.rawValue)", "Connection: close", "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            // The page is complete in itself, and fetches from this server only.
            "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'",
        ]
        if status == .noContent || status == .methodNotAllowed { lines.append("Allow: GET, HEAD, OPTIONS") }
        if status != .noContent {
            lines += ["Content-Type: \(type.rawValue)", "Content-Length: \(body.utf8.count)"]
        }
        return lines.map { $0 + "\r\n" }.joined() + "\r\n"
    }
}
