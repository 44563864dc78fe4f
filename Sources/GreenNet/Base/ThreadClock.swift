internal import CSwitch

/// The time as this OS thread has it: the clock's, unless its hub has a virtual one.
enum ThreadClock {
    /// What this OS thread takes for the time, in nanoseconds; 0 where that is the clock's.
    static var virtualTime: Int64 {
        get { green_virtual_time() }
        set { green_set_virtual_time(newValue) }
    }
}
