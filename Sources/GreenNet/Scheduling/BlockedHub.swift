import Glibc
import Synchronization

/// A green thread has not given way for longer than it should, and kept all others of its hub waiting.
public struct BlockedHub: Sendable, CustomStringConvertible {
    /// Which one.
    public let greenThread: String
    /// For how long it has run at least.
    public let length: Duration
    /// Where it was at that moment, innermost first.
    public let backtrace: [String]

    /// All of that, a line for each frame.
    public var description: String {
        (["\(greenThread) has not given way for \(length.text)"] + backtrace.map { "    at " + $0 }).joined(
            separator: "\n")
    }
}

extension Hub {
    /// Has an OS thread look at the hub now and then, and calls `report`, there, once for each time that a green thread does not give way for `length` or
    /// longer.  Until `stopWatching()`, or until the hub closes.
    ///
    /// The hub pays one store for each look at its loop.  To see where the green thread is, a signal (SIGURG) interrupts it, only when it is blocked; calls
    /// that signals end (`poll`, `nanosleep`) notice.
    /// Unless told otherwise, a report is written to standard error.
    public func watch(
        longerThan length: Duration,
        _ report: (@Sendable (BlockedHub) -> Void)? = nil
    ) throws(Errno) {
        stopWatching()
        state.pointee.pulse = try HubWatcher.start(length) { blocked in
            if let report { report(blocked) } else { writeToStandardError("GreenNet: \(blocked)\n") }
        }
    }

    /// Ends `watch`.  Waits for a report under way.
    public func stopWatching() {
        state.pointee.pulse?.stop()
        state.pointee.pulse = nil
    }
}

/// An OS thread that listens to the pulse of a hub.
final class HubWatcher: Sendable {
    /// Odd while green threads run, even while the hub sleeps in its loop; another number at each look at it.
    private let pulse = Atomic<UInt64>(0)
    private let target = Frames.Target()
    private let length: Duration
    private let report: @Sendable (BlockedHub) -> Void
    private let end = Atomic<Bool>(false)
    // Set before anybody else sees it, and never again.
    nonisolated(unsafe) private var thread = pthread_t()

    private init(_ length: Duration, _ report: @escaping @Sendable (BlockedHub) -> Void) {
        (self.length, self.report) = (length, report)
    }

    static func start(
        _ length: Duration, _ report: @escaping @Sendable (BlockedHub) -> Void
    ) throws(Errno) -> HubWatcher {
        let watcher = HubWatcher(length, report)
        let number = pthread_create(
            &watcher.thread, nil,
            { watcher in
                Unmanaged<HubWatcher>.fromOpaque(watcher!).takeRetainedValue().watch()
                return nil
            }, Unmanaged.passRetained(watcher).toOpaque())
        if number != 0 {
            Unmanaged.passUnretained(watcher).release()
            throw Errno(number)
        }
        return watcher
    }

    func stop() {
        end.store(true, ordering: .relaxed)
        pthread_join(thread, nil)
    }

    // MARK: On the hub's OS thread

    func run() { pulse.store((pulse.load(ordering: .relaxed) + 1) | 1, ordering: .relaxed) }
    func sleep() { pulse.store((pulse.load(ordering: .relaxed) | 1) + 1, ordering: .relaxed) }

    // MARK: On its own

    private func watch() {
        var (last, since, isReported) = (UInt64(0), Deadline.now, false)
        while !end.load(ordering: .relaxed) {
            let now = pulse.load(ordering: .relaxed)
            if now != last || now % 2 == 0 { (last, since, isReported) = (now, .now, false) }
            if !isReported, .now - since >= length {
                isReported = true
                tell(.now - since, last)
            }
            pause()
        }
    }

    private func tell(_ length: Duration, _ beat: UInt64) {
        // It may have gone on meanwhile: then the frames are another's.
        guard let (thread, frames) = target.look(), pulse.load(ordering: .relaxed) == beat else { return }
        report(BlockedHub(greenThread: thread, length: length, backtrace: frames.map(Symbol.name)))
    }

    /// Often enough to be a quarter late at most; and not so long that whoever stops it notices.
    private func pause() {
        let nanoseconds = min(max(length.nanoseconds / 4, 1_000_000), 50_000_000)
        var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
        nanosleep(&time, nil)
    }
}
