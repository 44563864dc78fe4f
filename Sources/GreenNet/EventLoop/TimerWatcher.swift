internal import CLibev

/// libev's timer, which fires once.  Allocated, since libev keeps its address while it is active.
struct TimerWatcher {
    fileprivate var raw = ev_timer()
    /// When it fires, while it is active.
    fileprivate(set) var due = Deadline.never

    typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutablePointer<ev_timer>?, Int32) -> Void

    static func context<T>(_ timer: UnsafeMutablePointer<ev_timer>?, as: T.Type) -> UnsafeMutablePointer<T> {
        timer!.pointee.data.assumingMemoryBound(to: T.self)
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

    var isActive: Bool { green_timer_is_active(timer) != 0 }

    /// (Re)starts it, so that it fires at `due` or a little later, never before.
    func start(on loop: EventLoop, due: Deadline) {
        stop(on: loop)
        loop.updateTime()
        green_timer_set(timer, Double(max(0, (due - .now).nanoseconds)) / 1e9)
        pointee.due = due
        ev_timer_start(loop.raw, timer)
    }

    func stop(on loop: EventLoop) { ev_timer_stop(loop.raw, timer) }

    func free(on loop: EventLoop) {
        stop(on: loop)
        deallocate()
    }
}
