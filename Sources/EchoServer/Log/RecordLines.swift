import Glibc
import GreenNet

/// Lines of records, one behind the other, until they are written.
///
/// Kept in memory of its own, into which each record is written as bytes: as strings it would cost more than all else of a short connection.
final class RecordLines: @unchecked Sendable {
    // Unchecked: used under the lock of its sink only.

    /// This number of bytes is worth a system call.
    static let enough = 16 << 10
    /// No line is longer: a path of a unix socket has 107 bytes at most, and a record three of them.
    private static let longestLine = 8 << 10

    /// The byte in front of `first` is an end of line, for `take`.
    private let memory: UnsafeMutablePointer<UInt8>
    private var first: UnsafeMutablePointer<UInt8> { memory + 1 }
    /// How many bytes there are, and how many lines.
    private var end = 0
    private(set) var count = 0
    /// What was written last ends within a line.
    private var isCut = false
    /// The text of a second, of which many records are: as far as the fraction.
    private var second = (number: Int.min, text: [UInt8]())

    init() {
        memory = .allocate(capacity: 1 + RecordLines.enough + RecordLines.longestLine)
        memory.pointee = UInt8(ascii: "\n")
    }

    deinit { memory.deallocate() }

    var isEnough: Bool { end >= RecordLines.enough }

    func append(_ record: ConnectionRecord) {
        var cursor = TextCursor(at: first + end)
        record.write(start: text(of: record.start.tv_sec), to: &cursor)
        end = cursor.position - first
        count += 1
    }

    /// The next line is the first of another file.
    func beginFile() { isCut = false }

    /// As in `2026-11-21T03:28:47.`
    private func text(of second: Int) -> [UInt8] {
        if self.second.number != second {
            self.second = (second, LogLine.timestamp(timespec(tv_sec: second, tv_nsec: 0)).dropLast(4))
        }
        return self.second.text
    }

    /// Hands all lines to `write`, whole ones of at most `most` bytes at a time; `write` returns how many bytes it has taken.  Returns how many lines were taken whole.  The
    /// others are dropped.
    ///
    /// After a part of a line, what is written next begins with an end of line.
    func take(upTo most: Int = .max, by write: (UnsafeRawBufferPointer) -> Int) -> Int {
        var (begin, taken) = (0, 0)
        while begin < end {
            let stop = endOfPiece(from: begin, most)
            taken += put(begin..<stop, write)
            begin = stop
        }
        (end, count) = (0, 0)
        return taken
    }

    /// Returns how many lines were taken whole.
    private func put(_ piece: Range<Int>, _ write: (UnsafeRawBufferPointer) -> Int) -> Int {
        // The byte before a line is an end of line.
        let lead = isCut ? 1 : 0
        let bytes = UnsafeRawBufferPointer(start: first + piece.lowerBound - lead, count: piece.count + lead)
        let taken = write(bytes)
        guard taken > 0 else { return 0 }
        isCut = bytes[taken - 1] != UInt8(ascii: "\n")
        if taken == bytes.count, piece.count == end { return count }
        return bytes[lead..<max(lead, taken)].count { $0 == UInt8(ascii: "\n") }
    }

    private func endOfPiece(from begin: Int, _ most: Int) -> Int {
        // With room for an end of line in front.
        if end - begin < most { return end }
        let rest = UnsafeBufferPointer(start: first + begin, count: end - begin)
        let last = rest.prefix(most - 1).lastIndex(of: UInt8(ascii: "\n")) ?? rest.firstIndex(of: UInt8(ascii: "\n"))!
        return begin + last + 1
    }
}
