import Glibc
import GreenNet

/// How much later than asked something may happen on a busy machine.  A test about time makes this one allowance;
/// nothing may ever happen too early.
package let slack: Duration = .seconds(2) * Sanitizer.slowness

/// The time that `body` took.
package func elapsed(_ body: () throws -> Void) rethrows -> Duration {
    let start = Deadline.now
    try body()
    return .now - start
}

/// Keeps the processor busy for `length`, without a wait.
package func burn(_ length: Duration) {
    let end = Deadline.after(length)
    while !end.hasPassed {}
}

extension Sanitizer {
    /// The factor by which everything may take longer.
    package static var slowness: Int { active == .none ? 1 : 4 }

    /// Options for the programs that tests start.  A server ends with green threads parked, on whose stacks the leak checker does not look for
    /// references.  And ThreadSanitizer would sleep for a second before each end.
    package static var programOptions: KeyValuePairs<String, String> {
        ["ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "atexit_sleep_ms=0"]
    }

    /// `count` where the code runs at full speed; with a sanitizer a smaller number, for which a test takes about as long.
    package static func scaled(_ count: Int, address: Int, thread: Int) -> Int {
        switch active {
        case .none: count
        case .address: address
        case .thread: thread
        }
    }
}

/// The processor time that the calling OS thread has used.
package func ownProcessorTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
