import TestSupport
import Testing

@Suite struct TrendTests {
    private func growth(_ value: (Int) -> Double) throws -> Double {
        try #require(Trend((0..<100).map { (Double($0), value($0)) })).growth
    }

    @Test func `a constant slope is found, and its rise over the whole time`() throws {
        #expect(try abs(growth { 5 + 3 * Double($0) } - 3 * 99) < 1e-6)
        #expect(try abs(growth { 5 - 3 * Double($0) } + 3 * 99) < 1e-6)
    }

    @Test func `values that go up and down have no trend`() throws {
        #expect(try abs(growth { Double($0 % 7) }) < 2)
        #expect(try growth { _ in 42 } == 0)
    }

    @Test func `noise and outliers neither hide a slope nor make one`() throws {
        var random = SeededRandom(seed: 1)
        let noise = (0..<100).map { $0 % 5 == 0 ? 1e6 : Double.random(in: -10...10, using: &random) }
        #expect(try abs(growth { noise[$0] }) < 20)
        #expect(try abs(growth { noise[$0] + Double($0) } - 99) < 20)
    }

    @Test func `one measurement has no trend`() {
        #expect(Trend([]) == nil)
        #expect(Trend([(1, 1)]) == nil)
    }
}
