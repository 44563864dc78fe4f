import GreenNet

/// Decides when to send a status line: at most once a second, and not the same line twice.
struct StatusPace {
    static let interval = Duration.seconds(1)

    private var last: String?
    private var next = Deadline(nanoseconds: .min)

    func isDue(_ status: String, at now: Deadline) -> Bool { status != last && now >= next }

    /// `status` was sent.
    mutating func sent(_ status: String, at now: Deadline) { (last, next) = (status, now + StatusPace.interval) }
}
