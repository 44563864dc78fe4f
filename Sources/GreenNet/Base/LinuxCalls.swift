internal import CLinux
import Glibc

/// Calls that Swift's import of glibc leaves out.
enum LinuxCalls {
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

    /// `kept` are in order.
    static func closeAll(from lowest: Int32, but kept: [Int32]) {
        green_close_all_but(lowest, kept, kept.count)
    }

    /// In a forked child whose descriptors were closed.
    static func prepareBellOfChild() { green_bell_prepare_child() }

    static func raiseOOMScore(by amount: Int32) { green_raise_oom_score(amount) }

    static func wait(_ wanted: inout [pollfd], mask: inout sigset_t) -> Int32 {
        green_wait(&wanted, wanted.count, &mask)
    }

    static func writeNow(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        green_write_now(descriptor, bytes.baseAddress, bytes.count)
    }

    static func readNow(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        green_read_now(descriptor, buffer.baseAddress, buffer.count)
    }

    /// Lends `body` memory for `count` bytes on the stack of the calling OS thread, which must have room for it and 4 KiB more.  Its first bytes lie on the page of
    /// the frames that `body` makes; which cache lines of the page these are differs by `colour`.
    static func withStackBytes(_ count: Int, colour: Int32, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        withoutActuallyEscaping(body) { body in
            var loan = StackLoan(body: body)
            withUnsafeMutablePointer(to: &loan) { green_with_stack_bytes(count, colour, lendStackBytes, $0) }
        }
    }

    /// Where `wanted` begins in `bytes`, as memmem(3) finds it; nil where it does not.
    static func find(_ wanted: UnsafeBufferPointer<UInt8>, in bytes: UnsafeRawBufferPointer) -> UnsafeRawPointer? {
        green_find(bytes.baseAddress, bytes.count, wanted.baseAddress, wanted.count)
    }

    static func sealedFile(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        green_sealed_file(bytes.baseAddress, bytes.count)
    }

    static func processHandle(_ pid: pid_t) -> Int32 { green_process_handle(pid) }

    static func pipe(_ ends: inout [Int32]) -> Int32 { green_pipe(&ends) }

    static var environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { green_environment() }

    /// The program's id, or -errno.
    static func start(
        _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
        _ variables: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, streams: [Int32], signalAtStartersEnd: Int32,
        group: Int32
    ) -> pid_t {
        streams.withUnsafeBufferPointer { streams in
            var program = green_program(
                words: words, variables: variables, streams: streams.baseAddress, stream_count: Int32(streams.count),
                signal_at_starters_end: signalAtStartersEnd, group: group)
            return green_start_program(&program)
        }
    }

    static func adoptOrphans() -> Int32 { green_adopt_orphans() }

    /// The calling one; 15 bytes of `name` count.
    static func nameThread(_ name: String) { name.withCString { green_name_thread($0) } }

    static var isMainThread: Bool { green_is_main_thread() != 0 }

    /// How many the calling OS thread may run on.
    static var processorCount: Int { Int(green_processor_count()) }

    /// No other OS thread was ever started.
    static var isSingleThreaded: Bool { green_is_single_threaded() != 0 }

    static var hasMainQueue: Bool { green_main_queue_exists() != 0 }
    static var mainQueueWasUsed: Bool { green_main_queue_was_used() != 0 }
    static var mainQueueHandle: Int32 { green_main_queue_handle() }
    static func drainMainQueue(_ handle: Int32) { green_main_queue_drain(handle) }

    /// The calling OS thread's number.
    static func threadNumber() -> pid_t { green_thread_number() }

    /// The calling OS thread's name.
    static func threadName() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16) { name in
            green_thread_name(name.baseAddress!)
            return String(cString: name.baseAddress!)
        }
    }

    static func timer() -> Int32 { green_timer_open() }

    static func setTimer(_ descriptor: Int32, _ moment: Int64) -> Int32 { green_timer_set(descriptor, moment) }

    static func sendFile(
        _ file: Int32, from descriptor: Int32, to address: UnsafePointer<sockaddr>, _ length: socklen_t
    ) -> Int {
        green_send_file(descriptor, address, length, file)
    }
}

private struct StackLoan {
    let body: (UnsafeMutableRawBufferPointer) -> Void
}

private let lendStackBytes: @convention(c) (UnsafeMutableRawPointer?, Int, UnsafeMutableRawPointer?) -> Void = {
    bytes, count, loan in
    let body = loan!.assumingMemoryBound(to: StackLoan.self).pointee.body
    body(UnsafeMutableRawBufferPointer(start: bytes, count: count))
}
