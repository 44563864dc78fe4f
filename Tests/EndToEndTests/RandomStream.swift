import Glibc
import GreenNet
import TestSupport

/// Random bytes without end, the same in every run, and the server's answer to them.
///
/// About a million bytes repeat; their number is a prime, so that no buffer's size divides it and bytes that got out of
/// place do not look right by chance.
struct RandomStream: Sendable {
    static let period = 1_048_573
    /// The longest piece.
    static let longestPiece = 256 << 10

    private let sent: [UInt8]
    private let expected: [UInt8]

    static let upper = RandomStream { ("a"..."z").contains(Character(Unicode.Scalar($0))) ? $0 - 32 : $0 }
    static let echo = RandomStream { $0 }

    private init(_ answer: (UInt8) -> UInt8) {
        var random = SeededRandom(seed: 7)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(RandomStream.period + RandomStream.longestPiece)
        while bytes.count < RandomStream.period {
            withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - RandomStream.period)
        bytes += bytes[..<RandomStream.longestPiece]
        sent = bytes
        let table = (0...255).map { answer(UInt8($0)) }
        expected = bytes.map { table[Int($0)] }
    }

    /// `count` bytes from `position`.
    func bytes(_ position: Int, _ count: Int) -> [UInt8] {
        let start = position % RandomStream.period
        return [UInt8](sent[start..<start + count])
    }

    func withBytes<R, Failure: Error>(
        _ position: Int, _ count: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        let start = position % RandomStream.period
        return try sent.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try body(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[start..<start + count])))
        }
    }

    /// Throws if `bytes` are not the answer to the bytes at `position`.
    func check(_ bytes: UnsafeRawBufferPointer, at position: Int) throws {
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, RandomStream.longestPiece)
            let start = (position + done) % RandomStream.period
            let isSame = expected.withUnsafeBytes {
                memcmp($0.baseAddress! + start, bytes.baseAddress! + done, count) == 0
            }
            if !isSame { throw Unexpected("wrong bytes between \(position + done) and \(position + done + count)") }
            done += count
        }
    }
}
