import Glibc

/// The processor time that a process has used, in user and in system mode, of all its OS threads.
enum ProcessorTime {
    static var own: Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
