internal import CLibev

/// A libev loop: callbacks for descriptors, timers, signals and wake-ups from other OS threads.
///
/// It has callbacks, and nothing to do with green threads.  All of it belongs to one OS thread, save `WakeWatcher.send`.
struct EventLoop {
    let raw: OpaquePointer
    /// Rings where the loop must not sleep.  Raw memory: libev keeps its address.
    private let bell: UnsafeMutablePointer<green_bell>

    /// Null where the kernel has no descriptor left, or no memory to watch one.
    init?() {
        // NOENV: LIBEV_FLAGS in the environment would else choose the backend of a daemon.
        guard let raw = ev_loop_new(UInt32(EVBACKEND_EPOLL | EVFLAG_NOENV)) else { return nil }
        self.raw = raw
        bell = .allocate(capacity: 1)
        bell.initialize(to: green_bell())
        if green_loop_prepare(raw, bell) != 0 { return }
        destroy()
        return nil
    }

    func destroy() {
        ev_loop_destroy(raw)
        bell.deallocate()
    }

    /// Calls the callbacks of what is due, and where nothing is, sleeps until something is.
    func waitForEvents() { _ = ev_run(raw, Int32(EVRUN_ONCE)) }

    /// As `waitForEvents`, but sleeps no longer than until `end`, to some tens of microseconds: libev itself sleeps for whole milliseconds.
    func nap(until end: Deadline) {
        bell.pointee.nap_end = end.nanoseconds
        waitForEvents()
        bell.pointee.nap_end = .max
    }

    /// Whether it can `nap`.
    var isPrecise: Bool { bell.pointee.epoll >= 0 }

    /// `watcher` is what other OS threads wake the loop by; nil: nothing, any more.
    func setWaker(_ watcher: UnsafeMutablePointer<ev_async>?) { bell.pointee.jobs = UnsafePointer(watcher) }

    /// Calls the callbacks of what is due, without sleeping.
    func pollEvents() { _ = ev_run(raw, Int32(EVRUN_NOWAIT)) }

    /// Calls the callbacks of all that waits for something to read, up to the descriptor `last`, as if there were something.
    func feignReadability(upTo last: Int32) {
        for descriptor in 0..<last + 1 { ev_feed_fd_event(raw, descriptor, Int32(EV_READ)) }
        ev_invoke_pending(raw)
    }

    /// The loop's clock does not move while callbacks and green threads run; timers count from it.
    func updateTime() { ev_now_update(raw) }

    /// Walks libev's structures and aborts where they are damaged.  Slow: debug builds only.
    func verify() { ev_verify(raw) }
}
