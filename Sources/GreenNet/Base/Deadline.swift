import Glibc

/// A moment on the monotonic clock, which neither jumps nor runs backwards: `.now + .seconds(1)`, or `.never`.
///
/// A deadline can be passed on from call to call without growing, as a duration would.
public struct Deadline: Comparable, Hashable, Sendable {
    /// Nanoseconds since the clock's start; `Int64.max` stands for never.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The moment that does not come.
    public static var never: Deadline { Deadline(nanoseconds: .max) }

    /// This moment, read from the clock at each call; on a hub with a virtual clock, from that.
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

    /// Whether `left` comes before `right`.
    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Later by `duration`; `.never` where that is too far away to count.
    public static func + (moment: Deadline, duration: Duration) -> Deadline {
        guard moment != .never else { return .never }
        let (sum, overflow) = moment.nanoseconds.addingReportingOverflow(duration.nanoseconds)
        guard overflow else { return Deadline(nanoseconds: sum) }
        return duration < .zero ? Deadline(nanoseconds: .min) : .never
    }

    /// How long it is from `earlier` to `later`; at most 292 years either way.
    public static func - (later: Deadline, earlier: Deadline) -> Duration {
        let (duration, overflow) = later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return .nanoseconds(overflow ? (later < earlier ? .min : .max) : duration)
    }
}

extension Duration {
    /// The duration in whole nanoseconds, at the ends of `Int64` where it is longer than 292 years.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || carried ? (seconds < 0 ? .min : .max) : sum
    }
}
