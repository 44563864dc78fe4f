import Glibc
import GreenNet

/// What the first process says to a worker after a reload, a line each: `add 7 2`, with two descriptors, or `remove 7`.
enum PlaceMessage {
    /// The sockets of all hubs of the worker, hub by hub.
    case add(id: Int, [ListeningSocket])
    case remove(id: Int)

    private var line: String {
        switch self {
        case .add(let id, let sockets): "add \(id) \(sockets.count)\n"
        case .remove(let id): "remove \(id)\n"
        }
    }

    /// Never waits.  Throws where the worker has not read what was sent before, or is gone.
    func send(over channel: Connection) throws(NetError) {
        let bytes = Array(line.utf8)
        switch self {
        case .add(_, let sockets): try channel.send(descriptors: sockets.map(\.descriptor), with: bytes, until: .now)
        case .remove: try channel.sendAll(bytes, until: .now)
        }
    }
}

/// Reads such lines in a worker.
struct PlaceMessageReader {
    private let channel: Connection
    private var bytes: [UInt8] = []
    /// In the order of the lines.
    private var descriptors: [Int32] = []

    init(_ channel: Connection) { self.channel = channel }

    /// Nil at the end.
    mutating func next() throws -> PlaceMessage? {
        while true {
            if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: bytes[..<end], as: UTF8.self)
                bytes.removeSubrange(...end)
                return try message(line)
            }
            guard let more = try channel.receiveDescriptors(upTo: Connection.mostDescriptors) else { return nil }
            bytes += more.bytes
            descriptors += more.descriptors
        }
    }

    private mutating func message(_ line: String) throws -> PlaceMessage {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int($0) }
        switch (words.first, numbers.count) {
        case ("add", 2) where (1...descriptors.count).contains(numbers[1]):
            let sockets = try descriptors.prefix(numbers[1]).map { try InheritedSocket.taken($0) }
            descriptors.removeFirst(numbers[1])
            return .add(id: numbers[0], sockets)
        case ("remove", 1): return .remove(id: numbers[0])
        default: throw TakeOverProblem("'\(line.escaped)' is no message about listeners")
        }
    }
}
