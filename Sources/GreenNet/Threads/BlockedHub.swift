import Glibc
import Synchronization

/// A green thread has not given way for longer than it should, and kept all others of its hub waiting.
public struct BlockedHub: Sendable, CustomStringConvertible {
    /// Which one.
    public let greenThread: String
    /// For how long it has run, or slept in a call, at least.
    public let duration: Duration
    /// Where it was at that moment, innermost first.  Empty where that can't be seen.
    public let backtrace: [String]
    /// What it waits for, where another green thread of the same hub holds that: neither can go on then, for it doesn't give way.
    public let obstacle: Obstacle?

    /// What a green thread must not hold over a wait, and does.
    public struct Obstacle: Sendable, CustomStringConvertible {
        /// The kinds that can be told apart.
        public enum Kind: Sendable {
            /// A global or a static, whose initialiser waits.
            case initializer
            /// A mutex of POSIX's, such as `NSLock` has inside.
            case lock
        }

        /// What it is.
        public let kind: Kind
        /// Who holds it; of a lock, those that may, and a few of them where they are many.
        public let holders: [Holder]

        /// A green thread that is suspended, and where.
        public struct Holder: Sendable {
            /// Which one.
            public let greenThread: String
            /// Where it waits, innermost first.
            public let backtrace: [String]
        }

        /// Says what is wrong, with the backtraces of the holders.
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

    /// All of that, a line for each frame.
    public var description: String {
        let own = ["\(greenThread) has not given way for \(duration.text)"] + backtrace.map { "    at " + $0 }
        return (own + (obstacle.map { [$0.description] } ?? [])).joined(separator: "\n")
    }
}

extension Hub {
    /// Has an OS thread look at the hub now and then, and calls `report`, there, once for each time that a green thread does not give way for `duration` or
    /// longer; and where it calls one blocking function after the other in that time, once for each that takes as long.  Until
    /// `stopWatching()`, or until the hub closes.
    ///
    /// The hub pays one store for each look at its loop.  A call that blocks is not disturbed: it takes its time and returns its result.  Only
    /// code that computes is interrupted, by a signal (SIGURG), and goes on.  Where /proc is not mounted, and in a process that has given up its rights (setuid,
    /// or PR_SET_DUMPABLE), all is, and calls such as `poll` and `nanosleep` end with EINTR then.  <doc:HeldOverAWait> is about what is reported as an `obstacle`.
    /// Unless told otherwise, a report is written to standard error.
    public func watch(
        longerThan duration: Duration,
        _ report: (@Sendable (BlockedHub) -> Void)? = nil
    ) throws(SystemError) {
        stopWatching()
        let watcher = try HubWatcher.start(duration) { blocked in
            if let report { report(blocked) } else { writeToStandardError("GreenNet: \(blocked)\n") }
        }
        scheduler.begin(Watch(pulse: watcher.pulse, stop: watcher.stop))
    }

    /// Ends `watch`.  Waits for a report under way.
    public func stopWatching() { scheduler.endWatch() }
}

/// An OS thread that listens to the pulse of a hub.
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

    /// Two things are reported: green threads have run for too long since the hub has looked at its loop; and, once that was reported, each
    /// further stretch of sleep that is too long in itself, or another green thread's.
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

    /// Nil also where it may be another OS thread that it waits for.
    private func obstacle(of look: LookTarget.Look, _ backtrace: [String]) -> BlockedHub.Obstacle? {
        func index(of functions: [String]) -> Int? {
            backtrace.firstIndex { frame in functions.contains { frame.hasPrefix($0) } }
        }
        // The runtime's; it asks the kernel again and again.
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

    /// Often enough to be a quarter late at most; and not so long that stopping it takes time.
    private func pause() {
        let nanoseconds = min(max(duration.nanoseconds / 4, 1_000_000), 50_000_000)
        var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
        nanosleep(&time, nil)
    }
}
