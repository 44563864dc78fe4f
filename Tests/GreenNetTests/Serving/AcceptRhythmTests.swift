import Testing

@testable import GreenNet

struct AcceptRhythmTests {
    /// Accepts what is there after each of `waits`, and counts the accepts that find none.
    private func run(_ rhythm: inout AcceptRhythm, _ waits: [Int]) -> (inVain: Int, left: Int) {
        var (inVain, left) = (0, 0)
        for came in waits {
            left += came
            var waits = false
            while !waits {
                if left > 0 {
                    left -= 1
                    waits = rhythm.shouldWait()
                } else {
                    rhythm.foundNone()
                    (inVain, waits) = (inVain + 1, true)
                }
            }
        }
        return (inVain, left)
    }

    @Test func `of clients that come one at a time, one in eight costs an accept that finds none`() {
        var rhythm = AcceptRhythm()
        #expect(run(&rhythm, Array(repeating: 1, count: 800)) == (100, 0))
    }

    @Test(arguments: [1, 2, 64, 1000])
    func `clients that come in equal numbers are all accepted after the first wait, and counted in one wait of eight`(
        number: Int
    ) {
        var rhythm = AcceptRhythm()
        #expect(run(&rhythm, [number]) == (1, 0))
        #expect(rhythm.expected == number)
        #expect(run(&rhythm, Array(repeating: number, count: 80)) == (10, 0))
    }

    @Test func `more clients than before are found within eight waits, and fewer at once`() {
        var rhythm = AcceptRhythm()
        #expect(run(&rhythm, [1]) == (1, 0))
        #expect(run(&rhythm, Array(repeating: 50, count: 8)) == (1, 0))
        #expect(rhythm.expected > 50)
        #expect(run(&rhythm, [2]) == (1, 0))
        #expect(rhythm.expected == 2)
    }
}
