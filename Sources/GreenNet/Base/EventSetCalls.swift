internal import CLinux
import Glibc

/// The kernel's event sets, for OS threads that wait together; hubs have libev's.  A number, or errno as a negative one.
extension SystemCalls {
    static func newEventSet() -> Int { Int(green_event_set()) }

    /// A counter that can be watched: each read takes one.
    static func newBell() -> Int { Int(green_event_bell()) }

    /// Can be watched: it rings when its time has come.
    static func newTimer() -> Int { Int(green_event_timer()) }

    static func setTimer(_ timer: Int32, nanoseconds: Int64) { _ = green_event_timer_set(timer, nanoseconds) }

    static func ring(_ bell: Int32, _ count: UInt64) {
        var count = count
        _ = retrying { Glibc.write(bell, &count, MemoryLayout<UInt64>.size) }
    }

    /// Of a bell or a timer.  Returns whether there was a ring to take.
    static func takeRing(_ bell: Int32) -> Bool {
        var count: UInt64 = 0
        return retrying { Glibc.read(bell, &count, MemoryLayout<UInt64>.size) } > 0
    }

    /// To how many waits a set reports what can be read.
    enum EventMode {
        case always
        /// To one, until `watchAgain`.
        case once
        /// To one, until more has come.
        case each

        fileprivate var number: green_event_mode {
            switch self {
            case .always: green_event_always
            case .once: green_event_once
            case .each: green_event_edge
            }
        }
    }

    static func add(_ descriptor: Int32, to set: Int32, as number: UInt64, _ mode: EventMode) -> Int {
        Int(green_event_control(set, green_event_add, descriptor, number, mode.number))
    }

    /// For one that was added with the mode `once`.
    static func watchAgain(_ descriptor: Int32, in set: Int32, as number: UInt64) -> Int {
        Int(green_event_control(set, green_event_again, descriptor, number, green_event_once))
    }

    static func remove(_ descriptor: Int32, from set: Int32) -> Int {
        Int(green_event_control(set, green_event_remove, descriptor, 0, green_event_always))
    }

    /// The number of a descriptor that can be read from; nil where `deadline` has passed.
    static func nextEvent(in set: Int32, until deadline: Deadline) -> UInt64? {
        var number: UInt64 = 0
        return green_event_wait(set, milliseconds(until: deadline), &number) > 0 ? number : nil
    }

    /// Rounded up: a wait that ends before its deadline would be made again.
    private static func milliseconds(until deadline: Deadline) -> Int32 {
        if deadline == .never { return -1 }
        return Int32(clamping: max(0, ((deadline - .now).nanoseconds + 999_999) / 1_000_000))
    }
}
