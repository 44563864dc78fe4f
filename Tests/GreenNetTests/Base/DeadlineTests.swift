import GreenNet
import TestSupport
import Testing

struct DeadlineTests {
    @Test func `now never runs backwards`() {
        var last = Deadline.now
        for _ in 0..<1000 {
            let now = Deadline.now
            #expect(now >= last)
            last = now
        }
    }

    @Test func `a deadline lies its length after now`() {
        let before = Deadline.now
        let deadline = Deadline.after(.seconds(5))
        #expect(deadline - before >= .seconds(5))
        #expect(deadline - before < .seconds(5) + slack)
        #expect(deadline - .now <= .seconds(5))
    }

    @Test func `a length added is the length between`() {
        let moment = Deadline.now
        for length in [Duration.zero, .nanoseconds(1), .milliseconds(-20), .seconds(86_400 * 365)] {
            #expect((moment + length) - moment == length)
        }
    }

    @Test func `a deadline has passed from its moment on`() {
        #expect(Deadline.now.hasPassed)
        #expect((Deadline.now + .milliseconds(-1)).hasPassed)
        #expect(!Deadline.after(.seconds(60)).hasPassed)
        let soon = Deadline.after(.milliseconds(2))
        while !soon.hasPassed {}
        #expect(soon <= .now)
    }

    @Test func `never does not come, and stays never`() {
        #expect(!Deadline.never.hasPassed)
        #expect(Deadline.never > Deadline.now + .seconds(1_000_000_000))
        #expect(Deadline.never + .seconds(-5) == .never)
        #expect(Deadline.never + .seconds(5) == .never)
        #expect(Deadline.never - .now > .seconds(1_000_000_000))
    }

    @Test(arguments: [Duration.seconds(Int64.max), .seconds(10_000_000_000), .nanoseconds(Int64.max)])
    func `a length that is too long to count leads to never`(length: Duration) {
        #expect(Deadline.now + length == .never)
        #expect(Deadline.after(length) == .never)
    }

    @Test(arguments: [Duration.seconds(Int64.min), .seconds(-10_000_000_000), .nanoseconds(Int64.min)])
    func `a moment too long ago to count has passed`(length: Duration) {
        let past = Deadline.now + length
        #expect(past.hasPassed)
        #expect((past + length).hasPassed)
    }

    @Test func `the length between far moments is as long as can be, and keeps its sign`() {
        let past = Deadline.now + .seconds(Int64.min)
        #expect(past - .now < .seconds(-1_000_000_000))
        #expect(Deadline.now - past > .seconds(1_000_000_000))
        #expect(Deadline.never - past > .seconds(1_000_000_000))
        #expect(past - .never < .seconds(-1_000_000_000))
    }

    @Test(
        arguments: [
            (Duration.zero, 0),
            (.nanoseconds(1), 1),
            (.nanoseconds(-1), -1),
            (.milliseconds(-1500), -1_500_000_000),
            (Duration(secondsComponent: 0, attosecondsComponent: 999_999_999), 0),
            (.nanoseconds(Int64.max), .max),
            (.nanoseconds(Int64.max) + .nanoseconds(1), .max),
            (.nanoseconds(Int64.min), .min),
            (.nanoseconds(Int64.min) - .nanoseconds(1), .min),
            (.seconds(Int64.max), .max),
            (.seconds(Int64.min), .min),
        ] as [(Duration, Int64)])
    func `a length in nanoseconds stays within its limits`(length: Duration, nanoseconds: Int64) {
        #expect(length.nanoseconds == nanoseconds)
    }
}
