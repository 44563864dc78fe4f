import Glibc
import GreenNet

/// What all connections send: an endless text, in which each begins at another place, so that bytes that are lost, doubled or end up
/// with another client do not fit.  And what a service should make of it.
///
/// In raw memory, of an OS thread that never frees it.
struct LoadText {
    /// A prime: no size of message or buffer falls into step with it.
    static let period = 4093
    /// The longest piece that can be had at once.
    static let longestPiece = 64 << 10

    let question: UnsafeMutablePointer<UInt8>
    private let upper: UnsafeMutablePointer<UInt8>
    private let expected: UnsafeMutablePointer<UnsafePointer<UInt8>?>

    /// `transform` answers each byte by one, or is any.
    init(_ transform: ExpectedTransform) {
        let count = LoadText.period + LoadText.longestPiece
        question = .allocate(capacity: count)
        upper = .allocate(capacity: count)
        var random = SplitMix(seed: 0)
        for index in 0..<count {
            if index < LoadText.period {
                question[index] = UInt8(truncatingIfNeeded: random.next())
            } else {
                question[index] = question[index - LoadText.period]
            }
            upper[index] = question[index].uppercased
        }
        expected = .allocate(capacity: 1)
        expected.initialize(to: transform.isByteByByte ? UnsafePointer(answer(by: transform, count)) : nil)
    }

    private func answer(by transform: ExpectedTransform, _ count: Int) -> UnsafeMutablePointer<UInt8> {
        if transform == .upper { return upper }
        if transform == .echo { return question }
        let answer = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
        for index in 0..<count { answer[index] = transform.changed(question[index]) }
        return answer
    }

    /// Up to `count` bytes from `place` on.
    @inline(__always)
    func piece(at place: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: question + place % LoadText.period, count: min(count, LoadText.longestPiece))
    }

    /// Whether `bytes`, at most `longestPiece`, are what answers those from `place` on.
    @inline(__always)
    func isAnswered(at place: Int, by bytes: UnsafeRawBufferPointer) -> Bool {
        guard let expected = expected.pointee else { return isAnsweredFirst(at: place, by: bytes) }
        return memcmp(expected + place % LoadText.period, bytes.baseAddress!, bytes.count) == 0
    }

    /// Any transform is right until one answer shows which it is.
    private func isAnsweredFirst(at place: Int, by bytes: UnsafeRawBufferPointer) -> Bool {
        let place = place % LoadText.period
        let isSame = memcmp(question + place, bytes.baseAddress!, bytes.count) == 0
        let isUpper = memcmp(upper + place, bytes.baseAddress!, bytes.count) == 0
        if isSame != isUpper { expected.pointee = UnsafePointer(isSame ? question : upper) }
        return isSame || isUpper
    }

    // MARK: What is wrong

    /// What doesn't fit in `bytes`, which should answer those from `place` on.
    func difference(at place: Int, _ bytes: UnsafeRawBufferPointer) -> Difference {
        let tables = expected.pointee.map { [$0] } ?? [UnsafePointer(upper), UnsafePointer(question)]
        // Where either may be meant, the one that is right for longer.
        let table = tables.max { agreement($0, place, bytes) < agreement($1, place, bytes) }!
        let offset = agreement(table, place, bytes)
        let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
        let right = UnsafeRawBufferPointer(start: table + place % LoadText.period + offset, count: rest.count)
        return Difference(
            offset: offset, expected: right[0], got: rest[0],
            guess: guess(rest, right, table: table, place: place + offset))
    }

    struct Difference: Equatable {
        let offset: Int
        let expected: UInt8
        let got: UInt8
        /// What may have happened, in words; nil where that can't be told.
        let guess: String?
    }

    private func agreement(_ table: UnsafePointer<UInt8>, _ place: Int, _ bytes: UnsafeRawBufferPointer) -> Int {
        let right = table + place % LoadText.period
        return bytes.indices.first { bytes[$0] != right[$0] } ?? bytes.count
    }

    /// From as few bytes as these, anything may look like anything else.
    private static let fewBytes = 4

    private func guess(
        _ bytes: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, table: UnsafePointer<UInt8>, place: Int
    ) -> String? {
        let flipped = (bytes[0] ^ right[0]).nonzeroBitCount == 1
        if flipped, bytes.dropFirst().elementsEqual(right.dropFirst()) { return "one bit is flipped" }
        let sample = min(bytes.count, 32)
        guard sample >= LoadText.fewBytes else { return flipped ? "one bit is flipped" : nil }
        for shift in 1..<LoadText.period where matches(table, place + shift, bytes, sample) {
            // Every place is somewhere ahead, for the text repeats.
            if shift > LoadText.period / 2 { return "these bytes belong to another place, or another connection" }
            return "\(shift) \(shift == 1 ? "byte is" : "bytes are") missing"
        }
        for shift in 1..<max(1, bytes.count - LoadText.fewBytes) {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[shift...])
            if matches(table, place, rest, min(rest.count, 32)) {
                return "\(shift) \(shift == 1 ? "byte" : "bytes") too many"
            }
        }
        let isUnchanged = matches(UnsafePointer(question), place, bytes, sample)
        let isUpper = matches(UnsafePointer(upper), place, bytes, sample)
        return isUnchanged ? "it was not transformed" : isUpper ? "it was transformed to upper case" : nil
    }

    private func matches(
        _ table: UnsafePointer<UInt8>, _ place: Int, _ bytes: UnsafeRawBufferPointer, _ count: Int
    ) -> Bool {
        memcmp(table + place % LoadText.period, bytes.baseAddress!, count) == 0
    }
}
