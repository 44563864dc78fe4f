// A client of Redis: each line of standard input is a command, and the reply to it is printed.
//
// Shows a protocol of lines and counted bytes on a reader (Redis.swift), and standard input that parks.
//
//     redis-server --port 6379 &
//     swift run RedisClient 6379         # and then: SET key value

import CourseKit
import Glibc
import GreenNet

@main struct RedisClient {
    static func main() {
        let port = UInt16(number(arguments(0...1, usage: "RedisClient [PORT]").first ?? "6379", "PORT", in: 1...65535))
        orEnd { try talk(port) }
    }

    static func talk(_ port: UInt16) throws {
        let redis = Redis(try Connection.connect(to: .loopback(port: port), until: .after(.seconds(5))))
        let commands = LineReader(StandardStream.input)
        while let line = try commands.next() {
            let words = line.split(separator: " ").map(String.init)
            if words.isEmpty { continue }
            let reply = try redis.call([words])[0]
            try StandardStream.output.sendAll("\(reply.text)\n")
        }
    }
}

extension Redis.Reply {
    var text: String {
        switch self {
        case .status(let text): text
        case .failure(let text): "error: \(text)"
        case .number(let number): "\(number)"
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .none: "nothing"
        case .list(let replies): "[\(replies.map(\.text).joined(separator: ", "))]"
        }
    }
}
