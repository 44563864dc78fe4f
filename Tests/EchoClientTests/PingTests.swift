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

    @Test(arguments: [
        (ExpectedTransform.upper, "PING \u{E9}\n"), (.echo, "Ping \u{E9}\n"), (.lower, "ping \u{E9}\n"),
        (.rot13, "Cvat \u{E9}\n"), (.reverse, "\u{E9} gniP\n"),
    ])
    func `each transform explains its own answer and no other's`(transform: ExpectedTransform, answer: String) {
        let answer = [UInt8](answer.utf8)
        for other in ExpectedTransform.allCases where other != .any {
            #expect(other.explains(answer, to: Ping.question) == (other == transform))
        }
        #expect(throws: Never.self) { try Ping.parse(["--transform", transform.rawValue]) }
    }

    @Test(arguments: [("discard", "answers nothing"), ("whoami", "another one for each connection")])
    func `a transform without an answer to compare is refused with the reason`(name: String, reason: String) {
        for parse in [{ _ = try Ping.parse($0) }, { _ = try Load.parse($0) }] as [([String]) throws -> Void] {
            let error = #expect(throws: (any Error).self) { try parse(["--transform", name]) }
            #expect(error.map { Ping.fullMessage(for: $0).contains(reason) } == true)
        }
    }

    @Test func `any transform will do unless one is named, but only a transform`() {
        #expect(ExpectedTransform.any.explains(Ping.question, to: Ping.question))
        #expect(ExpectedTransform.any.explains([UInt8]("PING \u{E9}\n".utf8), to: Ping.question))
        #expect(!ExpectedTransform.any.explains([UInt8]("PING \u{C9}\n".utf8), to: Ping.question))
        #expect(!ExpectedTransform.any.explains([], to: Ping.question))
    }
}
