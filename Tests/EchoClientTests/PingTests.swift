import Testing

@testable import EchoClient

struct PingTests {
    @Test(arguments: [
        (Duration.zero, "0.000 ms"), (.microseconds(7), "0.007 ms"), (.microseconds(214), "0.214 ms"),
        (.nanoseconds(1_234_999), "1.234 ms"), (.seconds(5), "5000.000 ms"),
    ])
    func `times are shown in milliseconds`(time: Duration, text: String) {
        #expect(time.inMilliseconds == text)
    }

    @Test func `the question tells the transforms apart`() {
        let shouted = [UInt8]("PING \u{E9}\n".utf8)
        #expect(ExpectedTransform.upper.explains(shouted, to: Ping.question))
        #expect(!ExpectedTransform.upper.explains(Ping.question, to: Ping.question))
        #expect(ExpectedTransform.echo.explains(Ping.question, to: Ping.question))
        #expect(!ExpectedTransform.echo.explains(shouted, to: Ping.question))
    }

    @Test func `any transform will do unless one is named, but only a transform`() {
        #expect(ExpectedTransform.any.explains(Ping.question, to: Ping.question))
        #expect(ExpectedTransform.any.explains([UInt8]("PING \u{E9}\n".utf8), to: Ping.question))
        #expect(!ExpectedTransform.any.explains([UInt8]("PING \u{C9}\n".utf8), to: Ping.question))
        #expect(!ExpectedTransform.any.explains([], to: Ping.question))
    }
}
