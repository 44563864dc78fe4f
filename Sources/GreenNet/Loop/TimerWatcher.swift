internal import CLibev
import Glibc

/// An alarm that rings once.  Allocated, since libev keeps the address of its timer while it is active.
///
/// libev's timers are rounded up to whole milliseconds, as its wait for events is.  For a moment that is near, that would be late by as much again: the kernel's
/// timer rings then, a descriptor that is opened when it is first needed.
struct TimerWatcher {
    // The first field: libev gives its address to the callback.
    fileprivate var timer = ev_timer()
    /// When it rings; never, where it is not set.
    fileprivate(set) var due = Deadline.never
    fileprivate let loop: EventLoop
    fileprivate let context: UnsafeMutableRawPointer
    fileprivate let ring: Ring

    /// The kernel's timer, and what watches it.  Nil before it is needed, and where the kernel has none.
    fileprivate(set) var clock: (descriptor: Int32, watcher: UnsafeMutablePointer<IOWatcher>)?
    fileprivate var isClockRefused = false
    /// The clock is set for a moment to come.
    fileprivate(set) var isClockSet = false

    /// Called in the loop with the context.  May set the alarm anew.
    typealias Ring = @convention(c) (UnsafeMutableRawPointer) -> Void

    /// Up to here the kernel's timer rings.  Beyond, what libev's is late by is less than a tenth.
    static let near = Duration.milliseconds(10)
    /// The clock rings this long after it was set, or later: thousands of sleepers whose moments are a microsecond apart are woken together.
    static let leastPause = Duration.microseconds(50)
    /// Below all descriptors, listeners among them: where data and its deadline come in the same pass, the data wins.
    fileprivate static let priority: Int32 = -2
}

extension UnsafeMutablePointer<TimerWatcher> {
    private var timer: UnsafeMutablePointer<ev_timer> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: ev_timer.self)
    }

    static func make(on loop: EventLoop, context: UnsafeMutableRawPointer, ring: TimerWatcher.Ring) -> Self {
        let watcher = allocate(capacity: 1)
        watcher.initialize(to: TimerWatcher(loop: loop, context: context, ring: ring))
        green_timer_init(watcher.timer) { _, timer, _ in
            UnsafeMutableRawPointer(timer!).assumingMemoryBound(to: TimerWatcher.self).ring()
        }
        green_set_priority(watcher.timer, TimerWatcher.priority)
        return watcher
    }

    /// (Re)starts it, so that it rings at `due` or a little later, never before.
    func start(due: Deadline) {
        let loop = pointee.loop
        ev_timer_stop(loop.raw, timer)
        pointee.due = due
        let now = Deadline.now
        if due < now + TimerWatcher.near, setClock(to: Swift.max(due, now + TimerWatcher.leastPause)) { return }
        loop.updateTime()
        green_timer_set(timer, Double(Swift.max(0, (due - .now).nanoseconds)) / 1e9)
        ev_timer_start(loop.raw, timer)
    }

    func free() {
        ev_timer_stop(pointee.loop.raw, timer)
        closeClock()
        deallocate()
    }

    // MARK: The kernel's timer

    /// Returns false where the kernel has no timer, or can't watch it.
    private func setClock(to due: Deadline) -> Bool {
        guard let clock = pointee.clock ?? openClock() else { return false }
        SystemCalls.setTimer(clock.descriptor, to: due.nanoseconds)
        pointee.isClockSet = true
        return true
    }

    private func openClock() -> (descriptor: Int32, watcher: UnsafeMutablePointer<IOWatcher>)? {
        if pointee.isClockRefused { return nil }
        let descriptor = Int32(SystemCalls.timer())
        // The next time there may be a descriptor.
        guard descriptor >= 0 else { return nil }
        let watcher = UnsafeMutablePointer<IOWatcher>.allocate(capacity: 1)
        watcher.initialize(to: IOWatcher())
        watcher.set(
            .readable, of: descriptor, context: UnsafeMutableRawPointer(self), priority: TimerWatcher.priority
        ) { _, raw, events in
            let watcher = IOWatcher.owner(raw, as: IOWatcher.self)
            let alarm = watcher.pointee.context!.assumingMemoryBound(to: TimerWatcher.self)
            if IOWatcher.isRefused(events) { alarm.giveUpClock() } else { alarm.clockRings() }
        }
        watcher.start(on: pointee.loop)
        pointee.clock = (descriptor, watcher)
        return pointee.clock
    }

    private func closeClock() {
        guard let clock = pointee.clock else { return }
        if clock.watcher.isKnownToLoop { clock.watcher.stop(on: pointee.loop) }
        SystemCalls.close(clock.descriptor)
        clock.watcher.deallocate()
        pointee.clock = nil
    }

    // MARK: In the loop

    private func ring() {
        pointee.due = .never
        let (ring, context) = (pointee.ring, pointee.context)
        ring(context)
    }

    private func clockRings() {
        pointee.isClockSet = false
        ring()
        // Else it would be readable for ever.
        if !pointee.isClockSet, let clock = pointee.clock { SystemCalls.setTimer(clock.descriptor, to: 0) }
    }

    /// The kernel has no memory to watch one more descriptor: libev's timer rings from now on.
    private func giveUpClock() {
        pointee.isClockRefused = true
        closeClock()
        if pointee.due != .never { start(due: pointee.due) }
    }
}
