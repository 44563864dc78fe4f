import Testing

@testable import GreenNet

struct BackOffTests {
    @Test func `pauses double from 10 ms to a second`() {
        var backOff = BackOff()
        let pauses = (0..<10).map { _ in backOff.next() }
        #expect(pauses == [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000].map { .milliseconds($0) })
    }

    @Test func `a success resets the pause`() {
        var backOff = BackOff()
        #expect(!backOff.isActive)
        for _ in 0..<3 { _ = backOff.next() }
        #expect(backOff.isActive)
        backOff.reset()
        #expect(!backOff.isActive)
        #expect(backOff.next() == .milliseconds(10))
        #expect(backOff.isActive)
    }
}
