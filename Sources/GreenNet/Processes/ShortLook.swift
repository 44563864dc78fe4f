import Glibc

/// Looks for the other process's bytes for some microseconds before the caller sleeps, while they come that fast.
///
/// To put a process to sleep and wake it takes the kernel longer than many a call takes a worker.  When and how long to look is decided as for a hub that waits for
/// other OS threads; see `Spin`.
struct ShortLook {
    private var spin = Spin()
    private var begin = Deadline.now

    /// To be called before a wait: returns once `socket` can be read, and soon in any case.
    mutating func beforeWait(for socket: Int32) {
        begin = .now
        guard Spin.isPossible, spin.isDue, ThreadClock.virtualTime == 0 else { return }
        // Other green threads do not wait for it.
        guard Hub.currentThread.scheduler.fields.pointee.ready.isEmpty else { return }
        _ = spin.ended(found: ShortLook.sees(socket))
    }

    /// To be called when bytes have come.
    mutating func afterWait() {
        spin.jobsCame = true
        spin.slept(for: .now - begin)
    }

    private static func sees(_ socket: Int32) -> Bool {
        let end = Deadline.after(Spin.limit)
        var question = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        repeat {
            if poll(&question, 1, 0) != 0 { return true }
            // The other process may need this processor.
            sched_yield()
        } while !end.hasPassed
        return false
    }
}
