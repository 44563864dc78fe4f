import GreenNet

/// A connection to a Redis server.  One green thread uses it at a time.
final class Redis {
    /// What a server replies, in version 2 of its protocol.
    enum Reply: Equatable {
        case status(String)
        case failure(String)
        case number(Int)
        case bytes([UInt8])
        case none
        case list([Reply])
    }

    /// The server has replied what is not its protocol, or has gone.
    struct BadReply: Error, CustomStringConvertible {
        let line: String
        var description: String { line.isEmpty ? "the server has gone" : "no reply of Redis: \(line.debugDescription)" }
    }

    /// As long as Redis takes itself.
    private static let counts = 0...512 << 20
    private let connection: Connection
    private let lines: LineReader

    init(_ connection: Connection) { (self.connection, lines) = (connection, LineReader(connection)) }

    func call(_ words: String...) throws -> Reply { try call([words])[0] }

    /// Sends all commands at once, and returns their replies.
    func call(_ commands: [[String]]) throws -> [Reply] {
        var bytes: [UInt8] = []
        for words in commands {
            Redis.add("*", words.count, to: &bytes)
            for word in words {
                Redis.add("$", word.utf8.count, to: &bytes)
                bytes += word.utf8
                bytes += "\r\n".utf8
            }
        }
        try connection.sendAll(bytes)
        return try commands.map { _ in try reply() }
    }

    private static func add(_ kind: Unicode.Scalar, _ count: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: kind))
        bytes += String(count).utf8
        bytes += "\r\n".utf8
    }

    private func reply() throws -> Reply {
        guard let line = try lines.next(), let kind = line.utf8.first else { throw BadReply(line: "") }
        let rest = line.dropFirst()
        switch (kind, Int(rest)) {
        case (UInt8(ascii: "+"), _): return .status(String(rest))
        case (UInt8(ascii: "-"), _): return .failure(String(rest))
        case (UInt8(ascii: ":"), let number?): return .number(number)
        case (UInt8(ascii: "$"), -1), (UInt8(ascii: "*"), -1): return .none
        case (UInt8(ascii: "$"), let count?) where Redis.counts ~= count:
            return .bytes(try lines.reader.exactly(count + 2, limit: count + 2).dropLast(2))
        case (UInt8(ascii: "*"), let count?) where Redis.counts ~= count:
            return .list(try (0..<count).map { _ in try reply() })
        default: throw BadReply(line: line)
        }
    }
}
