import GreenNet

/// The admin interface of a running echo-server.
struct AdminPage {
    let port: Int
    private static let patience = Duration.seconds(10)

    /// What `words` in the server's log are followed by.
    static let announcement = "admin on http://"
    /// What has the server serve it.
    static let options = ["--admin", "127.0.0.1:0", "--log-format", "text"]

    /// The values of a metric, a value for each of its labels; `name` may have labels.
    func values(of name: String) throws -> [Int] { AdminPage.values(of: name, in: try metrics()) }

    static func values(of name: String, in page: String) -> [Int] {
        let start = name.hasSuffix("}") ? name : "\(name){"
        return page.lines.filter { $0.hasPrefix(start) }.compactMap { line in
            String(line).words.last.flatMap { Double($0) }.map { Int($0) }
        }
    }

    private func metrics() throws -> String {
        guard let address = SocketAddress(ip: "127.0.0.1", port: UInt16(port)) else {
            throw BenchFailure("no port: \(port)")
        }
        let deadline = Deadline.after(AdminPage.patience)
        let connection = try Connection.connect(to: address, until: deadline)
        defer { connection.close() }
        try connection.sendAll(Array("GET /metrics HTTP/1.0\r\n\r\n".utf8), until: deadline)
        return try LineReader(connection).rest(until: deadline)
    }
}
