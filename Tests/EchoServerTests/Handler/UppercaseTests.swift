import Testing

@testable import EchoServer

@Suite struct UppercaseTests {
    /// Made differently than in the program: from the alphabet, letter by letter.
    private static let table: [UInt8] = {
        var table = (0...255).map { UInt8($0) }
        for (small, capital) in zip("abcdefghijklmnopqrstuvwxyz".utf8, "ABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8) {
            table[Int(small)] = capital
        }
        return table
    }()

    private func reference(_ bytes: some Sequence<UInt8>) -> [UInt8] { bytes.map { UppercaseTests.table[Int($0)] } }

    @Test func `each of the 256 bytes is what the table of letters says`() {
        var bytes = (0...255).map { UInt8($0) }
        bytes.withUnsafeMutableBytes { uppercase($0) }
        #expect(bytes == UppercaseTests.table)
    }

    @Test func `every length up to 300 bytes is done whole, wherever it begins, and nothing beside it changes`() {
        var generator = SystemRandomNumberGenerator()
        let random = (0..<400).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for start in 0..<32 {
            for length in 0...300 {
                var bytes = random
                bytes.withUnsafeMutableBytes {
                    uppercase(UnsafeMutableRawBufferPointer(rebasing: $0[start..<start + length]))
                }
                let expected =
                    random[..<start] + reference(random[start..<start + length]) + random[(start + length)...]
                #expect(bytes[...] == expected, "\(length) bytes from \(start)")
            }
        }
    }

    @Test func `64 KiB of random bytes are done`() {
        let random = (0..<64 << 10).map { _ in UInt8.random(in: 0...255) }
        var bytes = random
        bytes.withUnsafeMutableBytes { uppercase($0) }
        #expect(bytes == reference(random))
    }

    @Test func `no bytes at all are done too`() { uppercase(UnsafeMutableRawBufferPointer(start: nil, count: 0)) }
}
