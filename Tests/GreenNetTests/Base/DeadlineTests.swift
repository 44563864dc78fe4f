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

    @Test func `a deadline made from a duration lies that far after now`() {
        let before = Deadline.now
        let deadline = Deadline.after(.seconds(5))
        #expect(deadline - before >= .seconds(5))
        #expect(deadline - before < .seconds(5) + slack)
        #expect(deadline - .now <= .seconds(5))
    }

    @Test func `a duration added is the duration between`() {
        let moment = Deadline.now
        for duration in [Duration.zero, .nanoseconds(1), .milliseconds(-20), .seconds(86_400 * 365)] {
            #expect((moment + duration) - moment == duration)
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

    @Test func `never does not come, and stays never when a duration is added`() {
        #expect(!Deadline.never.hasPassed)
        #expect(Deadline.never > Deadline.now + .seconds(1_000_000_000))
        #expect(Deadline.never + .seconds(-5) == .never)
        #expect(Deadline.never + .seconds(5) == .never)
        #expect(Deadline.never - .now > .seconds(1_000_000_000))
    }

    @Test(arguments: [Duration.seconds(Int64.max), .seconds(10_000_000_000), .nanoseconds(Int64.max)])
    func `a duration that is too long to count leads to never`(duration: Duration) {
        #expect(Deadline.now + duration == .never)
        #expect(Deadline.after(duration) == .never)
    }

    @Test(arguments: [Duration.seconds(Int64.min), .seconds(-10_000_000_000), .nanoseconds(Int64.min)])
    func `a moment too long ago to count has passed`(duration: Duration) {
        let past = Deadline.now + duration
        #expect(past.hasPassed)
        #expect((past + duration).hasPassed)
    }

    @Test func `the duration between moments that are too far apart is clamped, and keeps its sign`() {
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
    func `a duration in nanoseconds is clamped to the limits of its type`(duration: Duration, nanoseconds: Int64) {
        #expect(duration.nanoseconds == nanoseconds)
    }

    /// Generic code over any instant.
    private func later<Instant: InstantProtocol>(_ start: Instant, _ step: Instant.Duration) -> Instant {
        start.advanced(by: step)
    }

    @Test func `generic code can use a deadline as an instant`() {
        let moment = Deadline.now
        #expect(later(moment, .seconds(2)) == moment + .seconds(2))
        #expect(moment.duration(to: later(moment, .milliseconds(-3))) == .milliseconds(-3))
        #expect(later(Deadline.never, .seconds(-1)) == .never)
    }
}
