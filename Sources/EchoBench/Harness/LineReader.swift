import GreenNet

/// What a program writes, line by line.
final class LineReader {
    private let connection: Connection
    private var pending: [UInt8] = []
    private static let newline = UInt8(ascii: "\n")

    init(_ connection: Connection) { self.connection = connection }

    /// The next whole line, without its newline; nil at the end of the stream, which drops a line without a newline.
    /// Throws when `deadline` has passed.
    func next(until deadline: Deadline = .never) throws(NetError) -> String? {
        while true {
            if let end = pending.firstIndex(of: LineReader.newline) {
                defer { pending.removeSubrange(...end) }
                return String(decoding: pending[..<end], as: UTF8.self)
            }
            guard let bytes = try connection.receive(upTo: 16 << 10, until: deadline) else { return nil }
            pending += bytes
        }
    }

    /// All that comes until the end of the stream.
    func rest(until deadline: Deadline = .never) throws(NetError) -> String {
        while let bytes = try connection.receive(upTo: 16 << 10, until: deadline) { pending += bytes }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Reads to the end of the stream and drops it: a writer must not wait for room.
    func drain() {
        do throws(NetError) {
            while try connection.receive(upTo: 16 << 10) != nil {}
        } catch {
            // The program or the benchmark has ended.
        }
    }
}
