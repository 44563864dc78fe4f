internal import CLibev

/// libev's timer, which fires once.  Allocated, since libev keeps its address while it is active.
///
/// Of several that are due at one moment, libev calls back in no order.
struct TimerWatcher {
    fileprivate var raw = ev_timer()
    /// When it fires; never, where it is not active.
    fileprivate(set) var due = Deadline.never

    typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutablePointer<ev_timer>?, Int32) -> Void

    /// In the callback: what it was made with.
    static func context<T>(_ timer: UnsafeMutablePointer<ev_timer>?, as: T.Type) -> UnsafeMutablePointer<T> {
        UnsafeMutableRawPointer(timer!).assumingMemoryBound(to: TimerWatcher.self).pointee.due = .never
        return timer!.pointee.data.assumingMemoryBound(to: T.self)
    }
}

extension UnsafeMutablePointer<TimerWatcher> {
    private var timer: UnsafeMutablePointer<ev_timer> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: ev_timer.self)
    }

    static func make(context: UnsafeMutableRawPointer, callback: TimerWatcher.Callback) -> Self {
        let watcher = allocate(capacity: 1)
        watcher.initialize(to: TimerWatcher())
        green_timer_init(watcher.timer, callback)
        // Below all descriptors, listeners among them: where data and its deadline come in the same pass, the data wins.
        green_set_priority(watcher.timer, -2)
        watcher.timer.pointee.data = context
        return watcher
    }

    /// (Re)starts it, so that it fires at `due` or a little later, never before.
    func start(on loop: EventLoop, due: Deadline) {
        ev_timer_stop(loop.raw, timer)
        loop.updateTime()
        green_timer_set(timer, Double(max(0, (due - .now).nanoseconds)) / 1e9)
        pointee.due = due
        ev_timer_start(loop.raw, timer)
    }

    func free(on loop: EventLoop) {
        ev_timer_stop(loop.raw, timer)
        deallocate()
    }
}
