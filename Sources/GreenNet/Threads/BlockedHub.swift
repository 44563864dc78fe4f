import Glibc
import Synchronization

/// A report that a green thread has run for too long without giving way: no other green thread of its hub could run meanwhile.
public struct BlockedHub: Sendable, CustomStringConvertible {
    /// The green thread, as dumps name it.
    public let greenThread: String
    /// How long it has run, or blocked in a call, at least.
    public let duration: Duration
    /// Its frames at that moment, innermost first.  Empty where they can't be read.
    public let backtrace: [String]
    /// What it blocks on, if another green thread of the same hub holds that: neither can go on then, for a blocked call doesn't give way.
    public let obstacle: Obstacle?

    /// A lock or an initialiser that a suspended green thread holds: see <doc:HeldOverAWait>.
    public struct Obstacle: Sendable, CustomStringConvertible {
        /// The kinds of obstacles.
        public enum Kind: Sendable {
            /// The initialiser of a global or a static, which waits.
            case initializer
            /// A POSIX mutex, such as `NSLock` contains.
            case lock
        }

        /// The kind of this obstacle.
        public let kind: Kind
        /// The green threads that hold it; for a lock, up to 8 green threads that may hold it.
        public let holders: [Holder]

        /// A suspended green thread.
        public struct Holder: Sendable {
            /// The green thread, as dumps name it.
            public let greenThread: String
            /// Its frames, innermost first.
            public let backtrace: [String]
        }

        /// The obstacle in words, with the backtraces of its holders.
        public var description: String {
            let (what, role) =
                switch kind {
                case .initializer: ("the initialiser of a global or a static to end", "is inside an initialiser")
                case .lock: ("a lock", "is suspended, and may hold the lock")
                }
            let first =
                "it waits for \(what), and another green thread of this hub, which can't run meanwhile, holds it: neither will go on"
            let others = holders.map { holder in
                (["\(holder.greenThread) \(role)"] + holder.backtrace.map { "    at " + $0 }).joined(separator: "\n")
            }
            return ([first] + others).joined(separator: "\n")
        }
    }

    /// The whole report, a line for each frame.
    public var description: String {
        let own = ["\(greenThread) has not given way for \(duration.text)"] + backtrace.map { "    at " + $0 }
        return (own + (obstacle.map { [$0.description] } ?? [])).joined(separator: "\n")
    }
}

extension Hub {
    /// Starts an OS thread that watches this hub until `stopWatching()` or the end of the hub, and reports green threads that do not give way for `duration`.
    ///
    /// `report` is called on the watching OS thread, once each time that a green thread has not given way for `duration`.  If it then calls one blocking
    /// function after the other, `report` is called once for each call that takes as long.  By default, a report is written to standard error.
    /// <doc:HeldOverAWait> explains what is reported as an `obstacle`.
    ///
    /// The hub pays one store for each pass of its loop.  A call that blocks is not interrupted.  Code that computes is interrupted by a signal (SIGURG), and
    /// goes on.  If /proc is not mounted, or the process has given up its rights (setuid, PR_SET_DUMPABLE), blocking calls are interrupted too, and `poll`
    /// and `nanosleep` end with EINTR.  To be called on the hub's OS thread; replaces an earlier `watch`.  Throws `SystemError` where the OS thread can't be started.
    public func watch(
        longerThan duration: Duration,
        _ report: (@Sendable (BlockedHub) -> Void)? = nil
    ) throws(SystemError) {
        checkOwner()
        stopWatching()
        let watcher = try HubWatcher.start(duration) { blocked in
            if let report { report(blocked) } else { writeToStandardError("GreenNet: \(blocked)\n") }
        }
        scheduler.begin(Watch(pulse: watcher.pulse, stop: watcher.stop))
    }

    /// Ends `watch`.  Blocks until a report under way has returned.  To be called on the hub's OS thread.
    public func stopWatching() {
        checkOwner()
        scheduler.endWatch()
    }
}

/// An OS thread that watches whether a hub makes progress.
final class HubWatcher: Sendable {
    let pulse = Pulse()
    private let target = LookTarget()
    private let duration: Duration
    private let report: @Sendable (BlockedHub) -> Void
    private let end = Atomic<Bool>(false)
    /// Set by `start`, taken by `stop`: on the hub's OS thread, both.
    nonisolated(unsafe) private var thread: OSThread?

    private init(_ duration: Duration, _ report: @escaping @Sendable (BlockedHub) -> Void) {
        (self.duration, self.report) = (duration, report)
    }

    static func start(
        _ duration: Duration, _ report: @escaping @Sendable (BlockedHub) -> Void
    ) throws(SystemError) -> HubWatcher {
        let watcher = HubWatcher(duration, report)
        watcher.thread = try OSThread.start(named: "hub watcher") { watcher.watch() }
        return watcher
    }

    func stop() {
        end.store(true, ordering: .relaxed)
        thread?.join()
    }

    // MARK: On its own

    /// Two things are reported: green threads have run for too long since the last pass of the hub's loop; and, after that report, each
    /// further blocking call that takes too long, of the same green thread or of another.
    private func watch() {
        var (last, since, isReported) = (UInt64(0), Deadline.now, false)
        var (reported, current): (LookTarget.Activity?, LookTarget.Activity?) = (nil, nil)
        while !end.load(ordering: .relaxed) {
            let now = pulse.count
            if now != last || now % 2 == 0 {
                (last, since, isReported, reported) = (now, .now, false, nil)
            } else if reported != nil, let next = target.activity, next != current {
                (current, since) = (next, .now)
                isReported = next.runs && next.greenThread == reported!.greenThread
            }
            if !isReported, .now - since >= duration {
                isReported = true
                reported = target.activity
                current = reported
                lookAndReport(.now - since, last)
            }
            pause()
        }
    }

    private func lookAndReport(_ duration: Duration, _ beat: UInt64) {
        // It may have gone on meanwhile: then the frames are another's.
        guard let look = target.look(), pulse.count == beat else { return }
        let backtrace = look.frames.map(Symbol.name)
        let obstacle = obstacle(of: look, backtrace)
        report(BlockedHub(greenThread: look.greenThread, duration: duration, backtrace: backtrace, obstacle: obstacle))
    }

    /// Nil also where the call may wait for another OS thread.
    private func obstacle(of look: LookTarget.Look, _ backtrace: [String]) -> BlockedHub.Obstacle? {
        func index(of functions: [String]) -> Int? {
            backtrace.firstIndex { frame in functions.contains { frame.hasPrefix($0) } }
        }
        // A function of the runtime, which asks the kernel again and again.
        if let initializer = index(of: ["_ZN5swift14threading_impl9once_slow", "swift_once "]) {
            let holders = target.suspended(inside: look.frames[initializer], limit: 8)
            return holders.isEmpty ? nil : .init(kind: .initializer, holders: holders.map(named))
        }
        guard index(of: ["pthread_mutex_lock ", "__pthread_mutex_lock ", "___pthread_mutex_lock "]) != nil else {
            return nil
        }
        guard target.waitsForItself(look) else { return nil }
        return .init(kind: .lock, holders: target.suspended(limit: 8).map(named))
    }

    private func named(_ look: LookTarget.Look) -> BlockedHub.Obstacle.Holder {
        .init(greenThread: look.greenThread, backtrace: look.frames.map(Symbol.name))
    }

    /// A quarter of the duration, so that a report is at most a quarter late; and short enough that `stop` does not take long.
    private func pause() {
        let nanoseconds = min(max(duration.nanoseconds / 4, 1_000_000), 50_000_000)
        var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
        nanosleep(&time, nil)
    }
}
