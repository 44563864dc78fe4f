// An HTTP/1.1 server that says who asks, and sends back what is posted to it.
// Shows a reader that finds the pieces of a request; a limit for each thing that a client may do, and the status that tells of it; connections that are kept for the
// next request; and a server that is drained at a signal: requests that have begun are answered.
//     swift run HTTPServer 8000          # and in another terminal: curl -i http://127.0.0.1:8000/hello

import CourseKit
import Glibc
import GreenNet

@main struct HTTPServer {
    static func main() {
        let port = UInt16(number(arguments(0...1, usage: "HTTPServer [PORT]").first ?? "8000", "PORT", in: 0...65535))
        orEnd {
            let server = try StreamServer(on: .loopback(port: port), limit: 1000) { try Client($0).serve() }
            server.start()
            say("http on \(server.listeners[0].address)")
            _ = try SignalWatcher(SIGINT, SIGTERM).wait()
            try server.drain(until: .after(.seconds(10)))
        }
    }
}

enum Limits {
    static let head = 16_384
    static let body = 1 << 20
    /// For a whole request, and for its answer.
    static let request = Duration.seconds(10)
    /// Between two requests.
    static let idle = Duration.seconds(60)
}

/// The answer to a request that can't be served.  Where the next request begins is not known then.
struct Refusal: Error { let status: String }

struct Request {
    let method: Substring
    let path: Substring
    /// Names in lower case.
    let headers: [String: Substring]
    var body: [UInt8] = []
    var keepsAlive: Bool { headers["connection"]?.lowercased() != "close" }

    init(head: [UInt8]) throws {
        guard let text = String(validating: head, as: UTF8.self) else { throw Refusal(status: "400 Bad Request") }
        let lines = text.split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2] == "HTTP/1.1" else { throw Refusal(status: "400 Bad Request") }
        (method, path) = (words[0], words[1])
        let pairs = try lines.dropFirst().map { line in
            guard let colon = line.firstIndex(of: ":") else { throw Refusal(status: "400 Bad Request") }
            return (line[..<colon].lowercased(), line[colon...].dropFirst().drop { $0 == " " })
        }
        // Two lengths are an attempt to smuggle a second request in.
        headers = try Dictionary(pairs) { first, second in
            if first != second { throw Refusal(status: "400 Bad Request") }
            return first
        }
    }

    func bodyLength() throws -> Int {
        if headers["transfer-encoding"] != nil { throw Refusal(status: "501 Not Implemented") }
        guard let text = headers["content-length"] else { return 0 }
        guard text.utf8.allSatisfy({ 48...57 ~= $0 }), let length = Int(text) else {
            throw Refusal(status: "400 Bad Request")
        }
        return length
    }
}

/// A connection of a client, from its first request to its last.
struct Client {
    let connection: Connection
    let reader: StreamReader

    init(_ connection: Connection) {
        (self.connection, reader) = (connection, StreamReader(connection, limit: Limits.head))
    }

    func serve() throws {
        do {
            // While it waits for a request the connection is idle: a drain of the server ends it.
            while try connection.withIdle({ try reader.hasMore(until: .after(Limits.idle)) }) {
                let deadline = Deadline.after(Limits.request)
                let request = try receive(until: deadline)
                let keepsAlive = request.keepsAlive && !connection.isDraining
                try send("200 OK", answer(to: request), keepsAlive, until: deadline)
                if !keepsAlive { return }
            }
        } catch let refusal as Refusal {
            try send(refusal.status, Array("\(refusal.status)\n".utf8), false, until: .after(Limits.request))
        } catch  where error.isTimeout || error is ReadError {
            // A client that is too slow, or has gone in the middle of a request, gets no answer.
        }
    }

    private func receive(until deadline: Deadline) throws -> Request {
        do {
            var request = try Request(head: reader.until(Array("\r\n\r\n".utf8), until: deadline))
            let length = try request.bodyLength()
            if length > Limits.body { throw Refusal(status: "413 Content Too Large") }
            if request.headers["expect"] == "100-continue" { try connection.sendAll("HTTP/1.1 100 Continue\r\n\r\n") }
            request.body = try reader.exactly(length, limit: Limits.body, until: deadline)
            return request
        } catch ReadError.tooLong {
            throw Refusal(status: "431 Request Header Fields Too Large")
        }
    }

    private func answer(to request: Request) -> [UInt8] {
        request.method == "POST"
            ? request.body : Array("\(request.method) \(request.path) from \(connection.peer)\n".utf8)
    }

    private func send(_ status: String, _ body: [UInt8], _ keepsAlive: Bool, until deadline: Deadline) throws {
        let end = keepsAlive ? "" : "Connection: close\r\n"
        let head = "HTTP/1.1 \(status)\r\nContent-Length: \(body.count)\r\n\(end)\r\n"
        try connection.sendAll(gathering: [Array(head.utf8), body], until: deadline)
    }
}
