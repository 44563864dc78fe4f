import Testing

@testable import GreenNet

struct DurationTextTests {
    @Test(arguments: [
        (Duration.zero, "0 seconds"), (.seconds(1), "1 second"), (.seconds(10), "10 seconds"),
        (.seconds(20.970395793999998), "20.97 seconds"), (.milliseconds(300), "0.3 seconds"),
        (.milliseconds(1), "0.001 seconds"), (.microseconds(999_999_600), "1000 seconds"),
        (.microseconds(250), "0.00025 seconds"), (.nanoseconds(1), "0.000000001 seconds"),
        (.seconds(-1.5), "-1.5 seconds"), (.nanoseconds(Int64.max), "9223372036.855 seconds"),
        (.seconds(31_536_000_000), "9223372036.855 seconds"),
    ])
    func `a duration is shown in seconds, rounded for readers`(length: Duration, text: String) {
        #expect(length.text == text)
    }
}
