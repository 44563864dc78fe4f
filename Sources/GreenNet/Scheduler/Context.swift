internal import CDiagnostics
internal import CSwitch

/// A green thread's record, at the top of its own stack: raw memory that never moves, so that no access to a class property is
/// open while a stack is left, and nothing is retained on the way.
typealias GreenThread = UnsafeMutablePointer<green_thread>

/// Parked green threads, first come first served.  It must not move while somebody stands in it.
typealias WaitQueue = green_wait_queue

package enum Context {
    /// The green thread that runs on this OS thread; nil where no hub was made yet.
    @inline(__always)
    static var running: GreenThread? { green_running() }

    static func setRunning(_ thread: GreenThread?) { green_set_running(thread) }

    /// Leaves `from`, which runs, for `to`.  Comes back when somebody switches to `from`.
    @inline(__always)
    static func switchStack(from: GreenThread, to: GreenThread) {
        green_set_running(to)
        green_switch(from, to)
    }

    /// Has the processor fetch the record of `thread` into its cache, while something else is done.
    @inline(__always)
    static func prefetchRecord(of thread: GreenThread) { green_prefetch(thread) }

    /// Has it fetch the beginning of `object`.
    @inline(__always)
    static func prefetch(_ object: AnyObject) { green_prefetch(Unmanaged.passUnretained(object).toOpaque()) }

    /// Has it fetch what `thread`, whose record is there, will touch when it goes on.
    @inline(__always)
    static func prefetchWork(of thread: GreenThread) { green_prefetch_work(thread) }

    /// What a green thread does.  Returns who is resumed in its place, for which `setRunning` was called.
    typealias Entry = @convention(c) (UnsafeMutableRawPointer?) -> GreenThread?

    /// Makes the record ready for its first switch, which calls `entry(thread)`.
    static func prepare(_ thread: GreenThread, entry: Entry) {
        green_sanitizer_made(thread)
        green_first_frame(thread, entry)
    }

    static func adoptOSThread(_ thread: GreenThread) { green_sanitizer_main(thread) }

    /// Gives back what a sanitizer holds for an ended green thread.
    static func forget(_ thread: GreenThread) { green_sanitizer_freed(thread) }

    static func watchForOverflow() -> UnsafeMutableRawPointer? { green_overflow_watch() }
    static func unwatchForOverflow(_ alternateStack: UnsafeMutableRawPointer?) {
        green_overflow_unwatch(alternateStack)
    }
}
