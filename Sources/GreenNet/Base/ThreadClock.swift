internal import CSwitch

/// The time of this OS thread: the clock's, unless its hub has virtual time.
enum ThreadClock {
    /// The virtual time of this OS thread, in nanoseconds; 0 for the clock's time.
    static var virtualTime: Int64 {
        get { green_virtual_time() }
        set { green_set_virtual_time(newValue) }
    }
}
