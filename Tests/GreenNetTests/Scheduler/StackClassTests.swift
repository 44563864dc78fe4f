import Testing

@testable import GreenNet

struct StackClassTests {
    @Test(arguments: [
        (65_536, 65_536), (65_537, 131_072), (131_072, 131_072), (200_000, 262_144), (262_144, 262_144),
        (1_000_000, 1_048_576),
        (1_048_577, 2_097_152), (536_870_913, 1_073_741_824), (1_073_741_824, 1_073_741_824),
    ])
    func `a size is rounded up to a power of two`(asked: Int, given: Int) {
        #expect(StackClass(holding: asked).bytes == given)
    }

    @Test func `sizes begin at 64 KiB and end at 1 GiB, each twice the one before`() {
        let sizes = (0..<StackClass.count).map { StackClass(index: $0).bytes }
        #expect(sizes.first == 64 << 10 && sizes.last == 1 << 30)
        for (size, next) in zip(sizes, sizes.dropFirst()) { #expect(next == 2 * size) }
        #expect(StackClass.standard.bytes == 256 << 10)
    }

    @Test func `the size of a stack follows from where its record lies, whatever its colour`() {
        for size in (0..<StackClass.count).map(StackClass.init(index:)) {
            for colour in 0..<16 {
                let distance = size.bytes - GreenThread.recordSize - colour * 64
                #expect(StackClass(recordAt: distance) == size)
            }
        }
    }

    @Test func `without a size a stack is of the usual one`() {
        #expect(StackClass(nil) == .usual)
        #expect(StackClass(1 << 20) == StackClass(holding: 1 << 20))
    }
}
