import ArgumentParser

/// A length of time as people type it: seconds, fractions allowed.
struct Seconds: ExpressibleByArgument, Equatable {
    let duration: Duration

    /// Nil for what is no number, not positive, or longer than a hundred years.
    init?(argument: String) {
        guard let seconds = Double(argument), seconds > 0, seconds < 3_153_600_000 else { return nil }
        // In whole nanoseconds, so that 0.3 is shown as it was typed; but never as none at all.
        duration = .nanoseconds(max(1, Int64((seconds * 1e9).rounded())))
    }
}
