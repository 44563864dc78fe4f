import Testing

@testable import EchoClient

struct SecondsTests {
    @Test(arguments: [
        ("5", Duration.seconds(5)), ("0.3", .milliseconds(300)), ("1e-3", .milliseconds(1)), ("1e-30", .nanoseconds(1)),
        ("3e9", .seconds(3_000_000_000)),
    ])
    func `fractions are allowed`(text: String, duration: Duration) {
        #expect(Seconds(argument: text)?.duration == duration)
    }

    @Test(arguments: ["", "0", "-1", "nan", "inf", "1e300", "5 s", "five"])
    func `what is no length of time is refused`(text: String) {
        #expect(Seconds(argument: text) == nil)
    }
}
