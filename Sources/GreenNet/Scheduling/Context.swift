internal import CGreenContext
import Glibc

// The door to CGreenContext: every name that the rest of GreenNet uses of it is given here, save what Look.swift has for itself.

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

    /// What this OS thread takes for the time, in nanoseconds; 0 where that is the clock's.
    static var virtualTime: Int64 {
        get { green_virtual_time() }
        set { green_set_virtual_time(newValue) }
    }

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

    /// Runs `body`, which has locked the mutex of `owner`, where ThreadSanitizer sees that it has.
    package static func locked<Result>(_ owner: AnyObject, _ body: () -> Result) -> Result {
        let lock = Unmanaged.passUnretained(owner).toOpaque()
        green_sanitizer_locked(lock)
        defer { green_sanitizer_unlocking(lock) }
        return body()
    }

    static func watchForOverflow() -> UnsafeMutableRawPointer? { green_overflow_watch() }
    static func unwatchForOverflow(_ alternateStack: UnsafeMutableRawPointer?) {
        green_overflow_unwatch(alternateStack)
    }
}

/// Frames of green threads, as return addresses.
enum Frames {
    /// Those of a suspended green thread of this OS thread, innermost first.
    static func of(_ thread: GreenThread) -> [UnsafeMutableRawPointer] {
        var frames = [UnsafeMutableRawPointer?](repeating: nil, count: 64)
        let count = green_backtrace(thread, &frames, Int32(frames.count))
        return frames[..<Int(count)].compactMap { $0 }
    }

    /// The function that `address` lies in, or else the file, and how far in; nil where it is in none.
    static func place(of address: UnsafeMutableRawPointer) -> (symbol: String?, file: String, offset: Int)? {
        var place = green_place()
        guard green_place_of(address, &place) != 0 else { return nil }
        let symbol = withUnsafeBytes(of: &place.symbol) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return (symbol.isEmpty ? nil : symbol, String(cString: place.file), place.offset)
    }
}

/// Address space for stacks.
enum StackMemory {
    static func map(_ bytes: Int) throws(Errno) -> UnsafeMutableRawPointer {
        var low: UnsafeMutableRawPointer?
        let number = green_stacks_map(bytes, &low)
        guard let low else { throw Errno(number) }
        return low
    }

    static func unmap(_ low: UnsafeMutableRawPointer, _ bytes: Int) { green_stacks_unmap(low, bytes) }
    static func discard(_ low: UnsafeMutableRawPointer, _ bytes: Int) { green_stack_discard(low, bytes) }

    /// How guards are made; what the kernel has, unless a test wants the other way.
    enum Guard: UInt32 {
        case best, madvise, mprotect
    }

    static func installGuard(_ low: UnsafeMutableRawPointer, _ bytes: Int, _ kind: Guard) throws(Errno) {
        let number = green_guard_install(low, bytes, green_guard_kind(rawValue: kind.rawValue))
        if number != 0 { throw Errno(number) }
    }
}

/// The sanitizer that this was built with.  Tests scale themselves by it.
package enum Sanitizer {
    case none, address, thread

    package static var active: Sanitizer {
        switch green_sanitizer() {
        case 1: .address
        case 2: .thread
        default: .none
        }
    }
}

/// Calls that Swift's view of glibc leaves out.
enum GNU {
    static func errnoName(_ code: Int32) -> String? {
        guard let name = green_errno_name(code) else { return nil }
        return String(cString: name)
    }

    static func errnoWords(_ code: Int32) -> String? {
        guard let words = green_errno_words(code) else { return nil }
        return String(cString: words)
    }

    /// -1 with errno set; else the descriptor, closed on exec.
    static func accept(
        _ descriptor: Int32, _ address: UnsafeMutablePointer<sockaddr>, _ length: inout socklen_t, blocking: Bool
    ) -> Int32 {
        green_accept(descriptor, address, &length, blocking ? 1 : 0)
    }

    static func signalAtParentsEnd(_ signal: Int32) -> Int32 { green_signal_at_parents_end(signal) }

    static func closeAll(from lowest: Int32, but kept: [Int32]) {
        green_close_all_but(lowest, kept.sorted(), kept.count)
    }

    static func raiseOOMScore(by amount: Int32) { green_raise_oom_score(amount) }

    static func wait(_ wanted: inout [pollfd], mask: inout sigset_t) -> Int32 {
        green_wait(&wanted, wanted.count, &mask)
    }

    static func writeNow(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        green_write_now(descriptor, bytes.baseAddress, bytes.count)
    }

    static func sealedFile(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        green_sealed_file(bytes.baseAddress, bytes.count)
    }

    static func processHandle(_ pid: pid_t) -> Int32 { green_process_handle(pid) }

    static func close(from lowest: Int32, in actions: inout posix_spawn_file_actions_t) {
        _ = green_spawn_closing_from(&actions, lowest)
    }

    static func startSession(_ attributes: inout posix_spawnattr_t) { _ = green_spawn_in_new_session(&attributes) }

    static var environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { green_environment() }

    static func start(
        _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
        _ variables: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, _ streams: [Int32], _ signal: Int32,
        _ hasOwnGroup: Bool
    ) -> pid_t {
        var program = green_program(
            words: words, variables: variables, streams: (streams[0], streams[1], streams[2]),
            signal_at_starters_end: signal, has_own_group: hasOwnGroup ? 1 : 0)
        return green_start_program(&program)
    }

    static func adoptOrphans() -> Int32 { green_adopt_orphans() }

    static func timer() -> Int32 { green_timer_open() }

    static func setTimer(_ descriptor: Int32, _ moment: Int64) -> Int32 { green_timer_set(descriptor, moment) }

    static func sendFile(
        _ file: Int32, from descriptor: Int32, to address: UnsafePointer<sockaddr>, _ length: socklen_t
    ) -> Int {
        green_send_file(descriptor, address, length, file)
    }
}
