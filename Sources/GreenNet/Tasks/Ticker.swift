/// Moments at equal distances, which a green thread waits for one after the other.
///
///     let ticker = Ticker(every: .seconds(1))
///     while true { try report(seconds: ticker.next()) }
///
/// The moments are counted from when the ticker was made, so that they do not drift, however long the green thread works between them.  For one OS thread.
public final class Ticker: HubObject {
    /// The distance between two moments.
    public let interval: Duration
    @exclusivity(unchecked)  // Nothing parks during such an access.
    var owner = Owner()
    /// The moment that was given last, or when the ticker was made.
    @exclusivity(unchecked)
    private var last = Deadline.now

    /// A ticker whose first moment lies `interval` from now.
    ///
    /// - `interval`: 1 nanosecond or more; anything else stops the program.  A moment more than 292 years away does not come.
    public init(every interval: Duration) {
        require(interval.nanoseconds > 0, "a ticker that ticks every \(interval): it takes 1 ns or more")
        self.interval = interval
    }

    /// Waits for the next moment.  Returns how many moments have come since the last call: 1, or more where the caller was late.
    ///
    /// Where one has come already, returns at once; after some such calls in a row, the other green threads have a turn.  Throws when the caller is killed or an
    /// enclosing time limit is over; the moments count for the next call then.  Callable from any green thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next() throws(WaitError) -> Int {
        let thread = ownThread()
        let due = last + interval
        if due.hasPassed { try thread.takeTurn() } else { try Greenlet.sleep(until: due) }
        let passed = (.now - last).nanoseconds / interval.nanoseconds
        last = last + .nanoseconds(passed * interval.nanoseconds)
        return Int(passed)
    }
}

@available(*, unavailable)
extension Ticker: Sendable {}
