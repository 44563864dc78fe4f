import Testing

@testable import EchoClient

struct LoadTextTests {
    private let upper = LoadText(.upper)

    /// The right answer from `place` on.
    private func answer(_ place: Int, _ count: Int) -> [UInt8] {
        upper.piece(at: place, count).map { $0.uppercased }
    }

    private func isRight(_ bytes: [UInt8], _ place: Int, _ text: LoadText? = nil) -> Bool {
        bytes.withUnsafeBytes { (text ?? upper).isAnswered(at: place, by: $0) }
    }

    private func difference(_ bytes: [UInt8], _ place: Int, _ text: LoadText? = nil) -> LoadText.Difference {
        bytes.withUnsafeBytes { (text ?? upper).difference(at: place, $0) }
    }

    @Test func `the right answer is right, wherever it begins and ends`() {
        for place in [0, 1, 4092, 4093, 1_000_003] {
            for count in [1, 64, 5000, LoadText.longestPiece] { #expect(isRight(answer(place, count), place)) }
        }
    }

    @Test func `it has bytes of all kinds`() {
        let text = Set(upper.piece(at: 0, LoadText.period))
        #expect(text.count == 256)
    }

    @Test func `a flipped bit is found, and named`() {
        var bytes = answer(77, 300)
        bytes[123] ^= 4
        #expect(!isRight(bytes, 77))
        let difference = difference(bytes, 77)
        #expect(difference.offset == 123)
        #expect(difference.got == difference.expected ^ 4)
        #expect(difference.guess == "one bit is flipped")
    }

    @Test(arguments: [(1, "1 byte is missing"), (2, "2 bytes are missing"), (64, "64 bytes are missing")])
    func `bytes that are missing are counted`(count: Int, words: String) {
        let bytes = answer(4000, 100) + answer(4100 + count, 100)
        let difference = difference(bytes, 4000)
        // The byte after the gap may happen to be the same.
        #expect((100..<104).contains(difference.offset))
        #expect(difference.guess == words)
    }

    @Test func `bytes that come twice are too many`() {
        let bytes = answer(0, 100) + answer(97, 100)
        #expect(
            difference(bytes, 0).guess == "3 bytes too many" || difference(bytes, 0).guess?.contains("another") == true)
    }

    @Test func `an answer without its transform is distinguished from a damaged one`() {
        let unchanged = Array(upper.piece(at: 9, 200))
        #expect(difference(unchanged, 9).guess == "it was not transformed")
        #expect(difference(answer(9, 200), 9, LoadText(.echo)).guess == "it was transformed to upper case")
    }

    @Test(arguments: [ExpectedTransform.lower, .rot13])
    func `the answers of other transforms byte by byte are known too`(transform: ExpectedTransform) {
        let text = LoadText(transform)
        let right = text.piece(at: 5, 5000).map { transform.changed($0) }
        #expect(isRight(right, 5, text))
        #expect(!isRight(answer(5, 5000), 5, text))
        #expect(difference(Array(text.piece(at: 5, 200)), 5, text).guess == "it was not transformed")
    }

    @Test func `either transform will do, but only one of them`() {
        let text = LoadText(.any)
        #expect(isRight(answer(0, 100), 0, text))
        #expect(!isRight(Array(text.piece(at: 100, 100)), 100, text))
        let other = LoadText(.any)
        #expect(isRight(Array(other.piece(at: 0, 100)), 0, other))
        #expect(!isRight(answer(100, 100), 100, other))
    }
}
