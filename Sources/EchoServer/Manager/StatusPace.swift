import GreenNet

/// Says when a status line is worth telling: at most once a second, and not twice the same.
struct StatusPace {
    static let interval = Duration.seconds(1)

    private var last: String?
    private var next = Deadline(nanoseconds: .min)

    func isDue(_ status: String, at now: Deadline) -> Bool { status != last && now >= next }

    /// It was told.
    mutating func told(_ status: String, at now: Deadline) { (last, next) = (status, now + StatusPace.interval) }
}
