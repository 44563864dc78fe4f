import Testing

@testable import EchoBench

struct SpreadTests {
    @Test(
        arguments: [
            ([3], 3), ([1, 9], 5), ([9, 1, 4], 4), ([4, 1, 3, 2], 2.5), ([5, 5, 5, 1, 100], 5),
        ] as [([Double], Double)])
    func `the median is the middle value, or halfway between the two middle ones`(values: [Double], median: Double) {
        #expect(Spread(values).median == median)
    }

    @Test func `the least and the greatest value stand in brackets`() {
        #expect(Spread([1.014, 0.98, 1.266]).text() == "1.01 (0.98-1.27)")
        #expect(Spread([1.0144, 0.98, 1.266]).text(decimals: 3) == "1.014 (0.98-1.27)")
    }

    @Test func `no values have no median`() { #expect(Spread([]).text() == "- (---)") }
}
