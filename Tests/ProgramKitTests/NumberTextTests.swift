import Testing

@testable import ProgramKit

struct NumberTextTests {
    @Test(arguments: [
        (0.0, 2, "0.00"), (1.005, 1, "1.0"), (-2.5, 1, "-2.5"), (0.05, 1, "0.1"), (99.996, 2, "100.00"),
        (-0.001, 2, "0.00"),
        (3.7, 0, "4"),
    ])
    func `a number has the digits that are asked for`(number: Double, digits: Int, text: String) {
        #expect(number.fixed(digits) == text)
    }

    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")])
    func `long numbers are grouped`(number: Int, text: String) { #expect(number.grouped == text) }

    @Test(arguments: [
        (0.0, "0 ns"), (830, "830 ns"), (41_230, "41.2 us"), (2_000_000, "2.00 ms"), (123_456_789, "123 ms"),
        (1.5e9, "1.50 s"),
    ])
    func `a duration has the unit that suits it`(nanoseconds: Double, text: String) {
        #expect(shortTime(nanoseconds) == text)
    }

    @Test func `JSON is valid, with escapes, and infinity is null`() {
        let value = JSON.object([
            ("a\"b", .array([.integer(1), .number(2.5), .null, .bool(true)])), ("c", .string("x\n\\<é")),
            ("d", .number(.infinity)),
        ])
        #expect(value.description == #"{"a\"b":[1,2.5,null,true],"c":"x\n\\<é","d":null}"#)
    }
}
