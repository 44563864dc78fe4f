import GreenNet

/// A stream of bytes that have come: pieces as they are given, and then the end.
private final class Pieces: ByteStream {
    private var pieces: ArraySlice<ArraySlice<UInt8>>

    init(_ pieces: [ArraySlice<UInt8>]) { self.pieces = pieces.filter { !$0.isEmpty }[...] }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) -> Int? {
        guard let piece = pieces.popFirst() else { return nil }
        let count = min(piece.count, buffer.count)
        buffer.copyBytes(from: piece.prefix(count))
        if count < piece.count { pieces = [piece.dropFirst(count)] + pieces }
        return count
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) {}
    func shutdownSending() {}
    func close() {}
}

/// A reader must give the same wherever the stream is cut, and what a plain loop over all bytes gives.
extension FuzzTarget {
    /// What a reader gave: bytes, or that they were too long.
    private typealias Piece = [UInt8]?

    /// `read` reads all of a stream, and adds what it gave to its last argument.
    private static func expect(
        _ expected: [Piece], of bytes: ArraySlice<UInt8>, _ read: (any ByteStream, inout [Piece]) throws -> Void
    ) {
        let middle = bytes.startIndex + bytes.count / 2
        for pieces in [[bytes], [bytes[..<middle], bytes[middle...]], bytes.indices.map { bytes[$0...$0] }] {
            var given = [Piece]()
            do { try read(Pieces(pieces), &given) } catch { fatalError("\(error)") }
            precondition(given == expected, "\(pieces.count) pieces: \(given), not \(expected)")
        }
    }

    /// The longest length of a line, and then the lines.
    static func readLines(_ bytes: [UInt8]) {
        let (longest, text) = (max(1, Int(bytes.first ?? 1)), bytes.dropFirst())
        var lines = text.split(separator: 10, omittingEmptySubsequences: false)
        let last = lines.removeLast()
        let expected = lines.map { $0.last == 13 ? $0.dropLast() : $0 } + (last.isEmpty ? [] : [last])
        expect(expected.map { $0.count > longest ? nil : Array($0) }, of: text) { stream, pieces in
            let reader = LineReader(stream, longest: longest)
            while true {
                do {
                    guard let line = try reader.nextBytes() else { return }
                    pieces.append(line)
                } catch is LineTooLong {
                    pieces.append(nil)
                }
            }
        }
    }

    /// The length of a delimiter, the delimiter, and then what is cut by it.
    static func readDelimited(_ bytes: [UInt8]) {
        let delimiter = Array(bytes.dropFirst().prefix(1 + Int(bytes.first ?? 0) % 8))
        if delimiter.isEmpty { return }
        let (text, limit) = (Array(bytes.dropFirst(1 + delimiter.count)), 64)
        var (expected, start) = ([Piece](), 0)
        while let end = (start..<max(start, text.count)).first(where: { text[$0...].starts(with: delimiter) }) {
            // A byte after the other is taken until the rest is short enough.
            while end - start > limit {
                expected.append(nil)
                start += 1
            }
            expected.append(Array(text[start..<end]))
            start = end + delimiter.count
        }
        // Without its end, what may be the beginning of a delimiter does not count.
        while text.count - start - delimiter.count + 1 > limit {
            expected.append(nil)
            start += 1
        }
        expect(expected, of: text[...]) { stream, pieces in
            let reader = StreamReader(stream, limit: limit)
            while true {
                do {
                    pieces.append(try reader.until(delimiter))
                } catch ReadError.tooLong {
                    _ = try reader.exactly(1)
                    pieces.append(nil)
                } catch ReadError.endOfStream {
                    return
                }
            }
        }
    }

    /// The longest length of a frame, and then the frames.
    static func readFrames(_ bytes: [UInt8]) {
        let (longest, text) = (Int(bytes.first ?? 0), bytes.dropFirst())
        var (expected, rest) = ([Piece](), text)
        while rest.count >= 4 {
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            if count <= longest, rest.count < count { break }
            expected.append(count > longest ? nil : Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        expect(expected, of: text) { stream, pieces in
            let reader = FrameReader(stream, longest: longest)
            while true {
                do {
                    guard let frame = try reader.next() else { return }
                    pieces.append(frame)
                } catch is FrameTooLong {
                    pieces.append(nil)
                } catch ReadError.endOfStream {
                    return
                }
            }
        }
    }
}
