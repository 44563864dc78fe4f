import Testing

@testable import EchoBench

struct TableTests {
    @Test func `a table has names at the left and numbers at the right`() {
        var table = MarkdownTable([.name("server"), .number("messages/s"), .name("of these")])
        table.add("green", "91225", "sendto 1.00")
        #expect(
            table.text == """
                | server | messages/s | of these |
                | --- | ---: | --- |
                | green | 91225 | sendto 1.00 |
                """)
    }

    @Test(arguments: [
        (0.0, 2, "0.00"), (1.026, 2, "1.03"), (-2.55, 1, "-2.6"), (99.996, 2, "100.00"), (-0.001, 2, "0.00"),
        (3.7, 0, "4"), (Double.nan, 2, "-"),
    ])
    func `a number has the digits that are asked for`(number: Double, digits: Int, text: String) {
        #expect(number.decimals(digits) == text)
    }
}
