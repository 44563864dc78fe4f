/// Calls `body` until it returns, and returns what it returns: up to `attempts` times, with a pause after each failure.
///
///     let connection = try retry(attempts: 5, until: .after(.seconds(30))) { try Connection.connect(toHost: "db", port: 5432) }
///
/// The first pause is `first`, each further one twice as long, at most `longest`; of each, a random part of up to a half is left out, so that many callers
/// that fail together do not come back together.  `isRetried` says whether an error is worth another attempt; by default, each is.
///
/// Throws the error of the last attempt: after `attempts` of them, where `isRetried` returns false, and where the pause would end after `deadline`.  A kill of the caller, the
/// end of an enclosing time limit, and any other error with `isCancellation` or `CancellationError` is never retried.  Callable from any green thread.
///
/// - `attempts`: 1 or more.
/// - `first`: 0 or more, and no more than `longest`.
/// - `deadline`: limits when an attempt begins; an attempt itself is limited by what `body` gives to its calls.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func retry<Value>(
    attempts: Int = .max, first: Duration = .milliseconds(100), longest: Duration = .seconds(10),
    until deadline: Deadline = .never, if isRetried: (any Error) -> Bool = { _ in true }, _ body: () throws -> Value
) throws -> Value {
    require(attempts >= 1, "retry with \(attempts) attempts: it takes 1 or more")
    require(first >= .zero && first <= longest, "retry with a first pause of \(first), and \(longest) as the longest")
    let thread = Hub.currentThread
    var backOff = BackOff(shortest: first, longest: longest)
    for _ in 1..<attempts {
        do {
            return try body()
        } catch {
            let pause = thread.scheduler.shortened(backOff.next())
            if thread.isInterrupted || error.endsRetries || !isRetried(error) || .now + pause > deadline { throw error }
            try Greenlet.sleep(for: pause)
        }
    }
    return try body()
}

extension GreenThread {
    /// Its next wait would throw, for a kill or a time limit.
    fileprivate var isInterrupted: Bool {
        do throws(WaitError) { try throwIfInterrupted() } catch { return true }
        return false
    }
}

extension Error {
    fileprivate var endsRetries: Bool { isCancellation || self is CancellationError }
}

extension Scheduler {
    /// `duration` without a random part of up to a half; drawn from the seed of a virtual hub, where that has one.
    fileprivate func shortened(_ duration: Duration) -> Duration {
        let length = duration.nanoseconds
        return .nanoseconds(length - length / 2 + drawn(upTo: length / 2))
    }

    private func drawn(upTo limit: Int64) -> Int64 {
        if fields.pointee.virtualTime?.random == nil { return .random(in: 0...limit) }
        return .random(in: 0...limit, using: &fields.pointee.virtualTime!.random!)
    }
}
