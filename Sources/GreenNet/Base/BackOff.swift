/// How long to pause after a failure that may pass: 10 ms, doubling to 1 s, and from the start again after a success.
package struct BackOff {
    package static let shortest = Duration.milliseconds(10)
    package static let longest = Duration.seconds(1)

    private let shortest: Duration
    private let longest: Duration
    private var pause: Duration

    /// With other lengths than these, `shortest` is no longer than `longest`.
    package init(shortest: Duration = BackOff.shortest, longest: Duration = BackOff.longest) {
        (self.shortest, self.longest, pause) = (shortest, longest, shortest)
    }

    /// The pause after one more failure.
    package mutating func next() -> Duration {
        // Not doubled beyond the longest: that could overflow.
        defer { pause = pause > longest / 2 ? longest : pause * 2 }
        return pause
    }

    package mutating func reset() { pause = shortest }

    /// Whether a failure has come since the last success.
    package var isActive: Bool { pause != shortest }
}
