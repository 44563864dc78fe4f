/// How long to pause after a failure that may pass: 10 ms, doubling to 1 s, and from the start again after a success.
package struct BackOff {
    package static let shortest = Duration.milliseconds(10)
    package static let longest = Duration.seconds(1)

    private var pause = BackOff.shortest

    package init() {}

    /// The pause after one more failure.
    package mutating func next() -> Duration {
        defer { pause = min(pause * 2, BackOff.longest) }
        return pause
    }

    package mutating func reset() { pause = BackOff.shortest }

    /// Whether a failure has come since the last success.
    package var isActive: Bool { pause != BackOff.shortest }
}
