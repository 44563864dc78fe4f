import Glibc

/// A moment on the monotonic clock (CLOCK_MONOTONIC): `.now + .seconds(1)`, or `.never`.
///
/// The clock neither jumps nor runs backwards, and stands still while the machine is suspended: a deadline one hour away is one
/// hour of running time away.  A deadline can be passed from call to call without growing, unlike a duration.
///
/// A deadline is an `InstantProtocol`, but there is no `Clock`: a clock's `sleep` is `async`, and a task that calls it leaves the
/// green thread's OS thread for one of the concurrency runtime's, where virtual time does not hold.  Green threads wait with
/// `Greenlet.sleep(until:)`.
public struct Deadline: InstantProtocol {
    /// Nanoseconds since the clock's start; `Int64.max` stands for never.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The moment that does not come.
    public static var never: Deadline { Deadline(nanoseconds: .max) }

    /// The current moment, read from the clock at each call.  On an OS thread with a virtual hub, that hub's time.
    /// Callable from any OS thread.
    public static var now: Deadline {
        let virtual = ThreadClock.virtualTime
        return virtual != 0 ? Deadline(nanoseconds: virtual) : Deadline(clock: CLOCK_MONOTONIC)
    }

    /// `now` or some milliseconds before: the time of the kernel's last tick, which takes a fifth as long to read.
    static var nowCoarse: Deadline {
        let virtual = ThreadClock.virtualTime
        return virtual != 0 ? Deadline(nanoseconds: virtual) : Deadline(clock: CLOCK_MONOTONIC_COARSE)
    }

    private init(clock: clockid_t) {
        var time = timespec()
        clock_gettime(clock, &time)
        nanoseconds = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The moment that lies `duration` from now.
    public static func after(_ duration: Duration) -> Deadline { .now + duration }

    /// Whether the moment has come.
    public var hasPassed: Bool { self != .never && self <= .now }

    // MARK: InstantProtocol

    /// Whether `left` comes before `right`.
    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The moment that lies `duration` after this one.  `.never` stays `.never`, and a moment too far away to count is `.never`.
    public func advanced(by duration: Duration) -> Deadline {
        guard self != .never else { return .never }
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.nanoseconds)
        guard overflow else { return Deadline(nanoseconds: sum) }
        return duration < .zero ? Deadline(nanoseconds: .min) : .never
    }

    /// The duration from this moment to `other`; negative where `other` is earlier.  At most 292 years either way.
    public func duration(to other: Deadline) -> Duration {
        let (difference, overflow) = other.nanoseconds.subtractingReportingOverflow(nanoseconds)
        return .nanoseconds(overflow ? (other < self ? .min : .max) : difference)
    }

    // InstantProtocol would supply these two.  Here they are inlined into GreenNet's own waits.

    /// The moment that lies `duration` after `moment`; `.never` where that is too far away to count.
    public static func + (moment: Deadline, duration: Duration) -> Deadline { moment.advanced(by: duration) }

    /// The duration from `earlier` to `later`; at most 292 years either way.
    public static func - (later: Deadline, earlier: Deadline) -> Duration { earlier.duration(to: later) }
}

extension Duration {
    /// In whole nanoseconds, clamped to `Int64` where the duration is longer than 292 years.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || carried ? (seconds < 0 ? .min : .max) : sum
    }
}
