@testable import GreenNet

/// A stream that gives the pieces that a test puts in, cut as they are, and keeps what is sent.
final class PieceStream: ByteStream {
    private let pieces = GreenQueue<[UInt8]>()
    private var rest: [UInt8] = []
    private(set) var sent: [[UInt8]] = []
    /// How many calls of `receive` there were.
    private(set) var receives = 0
    /// The most bytes that one `receive` was given room for.
    private(set) var mostRoom = 0

    /// With its end behind them.
    convenience init(_ pieces: [[UInt8]]) {
        self.init()
        for piece in pieces { put(piece) }
        end()
    }

    func put(_ piece: [UInt8]) { if !piece.isEmpty { _ = try! pieces.tryPut(piece) } }
    func put(_ text: String) { put(Array(text.utf8)) }
    func end() { pieces.shutDown() }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        receives += 1
        mostRoom = max(mostRoom, buffer.count)
        if rest.isEmpty {
            guard let next = try pieces.next(until: deadline) else { return nil }
            rest = next
        }
        let count = min(rest.count, buffer.count)
        buffer.copyBytes(from: rest[..<count])
        rest.removeFirst(count)
        return count
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws { sent.append(Array(bytes)) }
    func shutdownSending() throws {}
    func close() {}
}

extension [UInt8] {
    /// In pieces of 1 to `longest` bytes.
    func cut(_ random: inout SplitMix, longest: Int) -> [[UInt8]] {
        var (pieces, rest) = ([[UInt8]](), self[...])
        while !rest.isEmpty {
            let piece = rest.prefix(.random(in: 1...longest, using: &random))
            pieces.append(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        return pieces
    }

    /// Byte for byte.
    var single: [[UInt8]] { map { [$0] } }
}

/// Runs `reading` in one green thread after the other, each of which is killed at a random moment or gets short deadlines, until it has returned true.
/// Meanwhile `pieces` come one after the other.
func disturbed(
    _ stream: PieceStream, _ pieces: [[UInt8]], seed: UInt64, _ reading: @escaping (Deadline) throws -> Bool
) throws {
    var random = SplitMix(seed: seed)
    let writer = spawn {
        for piece in pieces {
            try Greenlet.sleep(for: .milliseconds(Int.random(in: 0...3, using: &random)))
            stream.put(piece)
        }
        stream.end()
    }
    var other = SplitMix(seed: seed &+ 1)
    var isDone = false
    while !isDone {
        let limit = Bool.random(using: &other) ? Duration.milliseconds(Int.random(in: 0...4, using: &other)) : nil
        let reader = spawn {
            do {
                while try !reading(limit.map { .after($0) } ?? .never) {}
                isDone = true
            } catch  where error.isTimeout {}
        }
        try reader.join(until: .after(.milliseconds(Int.random(in: 0...5, using: &other))))
        reader.kill()
        try reader.join()
        if let failure = reader.failure, !failure.isCancellation { throw failure }
    }
    try writer.value()
}
