import GreenNet
import Testing

@testable import EchoServer

@Suite struct StatusPaceTests {
    private let start = Deadline.now

    @Test func `the first status is sent at once`() { #expect(StatusPace().isDue("one", at: start)) }

    @Test func `the same status is not sent again, however late`() {
        var pace = StatusPace()
        pace.sent("one", at: start)
        #expect(!pace.isDue("one", at: start + .seconds(1000)))
    }

    @Test func `another status has to wait until a second is over`() {
        var pace = StatusPace()
        pace.sent("one", at: start)
        #expect(!pace.isDue("two", at: start))
        #expect(!pace.isDue("two", at: start + .milliseconds(999)))
        #expect(pace.isDue("two", at: start + .seconds(1)))
    }

    @Test func `a status that was not sent changes nothing`() {
        var pace = StatusPace()
        pace.sent("one", at: start)
        #expect(pace.isDue("two", at: start + .seconds(1)))
        #expect(pace.isDue("three", at: start + .seconds(1)))
        pace.sent("two", at: start + .seconds(1))
        #expect(pace.isDue("one", at: start + .seconds(2)))
    }
}
