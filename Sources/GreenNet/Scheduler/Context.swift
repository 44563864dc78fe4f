internal import CDiagnostics
internal import CSwitch

/// What `CSwitch` does for green threads.
package enum Context {
    /// The green thread that runs on this OS thread; nil where no hub was made yet.
    @inline(__always)
    static var running: GreenThread? { green_running().map(GreenThread.init) }

    static func setRunning(_ thread: GreenThread?) { green_set_running(thread?.record) }

    /// Leaves `from`, which runs, for `to`.  Returns when another green thread switches to `from`.
    @inline(__always)
    static func switchStack(from: GreenThread, to: GreenThread) {
        if _slowPath(green_words_held() != 0) { leaveTask(of: from) }
        green_set_running(to.record)
        green_switch(from.record, to.record)
        if _slowPath(from.holdsWords) { green_words_return(from.record) }
    }

    /// `thread`, which is about to be left, has words set.
    @inline(never)  // Rare: else each switch would make the frame that it takes.
    private static func leaveTask(of thread: GreenThread) {
        green_words_leave(thread.record)
        thread.scheduler.taskParks(thread)
    }

    /// Runs `body` as if `thread`, which runs, were no task and had no task-local bound.  `body` does not park.
    static func withoutWords(of thread: GreenThread, _ body: () -> Void) {
        guard TaskWords.areHeld else { return body() }
        green_words_leave(thread.record)
        body()
        green_words_return(thread.record)
    }

    /// Of the green thread that runs: where it begins, no switch of its own has put them in place.
    static func restoreWords(of thread: GreenThread) { green_words_return(thread.record) }

    /// Has `thread`, which runs, go on with the stack of `callee` until that is left by `leaveCall`.
    @inline(__always)
    static func enterCall(_ thread: GreenThread, caller: GreenThread, callee: GreenThread) {
        green_call_enter(thread.record, caller.record, callee.record)
    }

    @inline(__always)
    static func leaveCall(caller: GreenThread, callee: GreenThread) { green_call_leave(caller.record, callee.record) }

    /// Has the processor fetch the record of `thread` into its cache, while something else is done.
    @inline(__always)
    static func prefetchRecord(of thread: GreenThread) { green_prefetch(thread.record) }

    /// Has it fetch the beginning of `object`.
    @inline(__always)
    static func prefetch(_ object: AnyObject) { green_prefetch(Unmanaged.passUnretained(object).toOpaque()) }

    /// Has it fetch what `thread`, whose record is in the cache, will touch when it goes on.
    @inline(__always)
    static func prefetchWork(of thread: GreenThread) { green_prefetch_work(thread.record) }

    /// How many bytes of frames that is.
    static var prefetchedDepth: Int { 64 * Int(GREEN_PREFETCHED_LINES) }

    /// What a green thread does, given its record.  Returns the record of the one that is resumed in its place, for which `setRunning` was called.
    typealias Entry = @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutablePointer<green_thread>?

    /// Makes the record ready for its first switch, which calls `entry` with it.
    static func prepare(_ thread: GreenThread, entry: Entry) {
        green_sanitizer_made(thread.record)
        green_first_frame(thread.record, entry)
    }

    static func adoptOSThread(_ thread: GreenThread) { green_sanitizer_main(thread.record) }

    /// Gives back what a sanitizer holds for an ended green thread.
    static func forget(_ thread: GreenThread) { green_sanitizer_freed(thread.record) }

    /// Of the function that calls, a little below its caller's.
    @inline(__always)
    static var stackPointer: UnsafeMutableRawPointer { green_stack_pointer() }

    /// The lowest address of the calling OS thread's own stack, and one past the highest; nil where the system does not say.
    static func osStack() -> (low: UnsafeMutableRawPointer, high: UnsafeMutableRawPointer)? {
        let bounds = green_own_stack()
        guard let low = UnsafeMutableRawPointer(bitPattern: bounds.low) else { return nil }
        return (low, low + Int(bounds.high - bounds.low))
    }

    static func watchForOverflow() -> UnsafeMutableRawPointer? { green_overflow_watch() }
    static func unwatchForOverflow(_ alternateStack: UnsafeMutableRawPointer?) {
        green_overflow_unwatch(alternateStack)
    }
}
