import Glibc
import GreenNet
import ProgramKit
import Testing

/// The resources of the process that a test may leave behind: descriptors, and OS threads that a test has started.
struct LeakCheck {
    /// By number, what each descriptor refers to, such as `socket:[4711]`.
    private let descriptors: [Int32: String]
    /// The names of OS threads by the kernel's id.
    private let threads: [Int32: String]

    static func now() -> LeakCheck {
        _ = dispatchIsWarm
        return LeakCheck(descriptors: ProcFS.ownDescriptors, threads: markedThreads())
    }

    /// Dispatch opens descriptors for the first task that sleeps on Swift's own pool, and keeps them, whichever test that is in.
    private static let dispatchIsWarm: Void = {
        let isOver = Handoff<Void>()
        Task.detached {
            // For each clock another one.
            try? await ContinuousClock().sleep(for: .milliseconds(2))
            try? await SuspendingClock().sleep(for: .milliseconds(2))
            try? await Task.sleep(nanoseconds: 2_000_000)
            isOver.give()
        }
        // Not for long: where conditions of tests have taken the pool's OS threads, it comes later.
        _ = isOver.take(within: .seconds(1))
    }()

    /// Records an issue for each new descriptor and OS thread.  An OS thread takes a moment to disappear, hence the polls.
    static func expectNoMore(than before: LeakCheck, _ sourceLocation: SourceLocation) {
        var left: [String] = []
        let isClean = eventually {
            // The pool would keep idle OS threads for some seconds.
            OffloadPool.endIdleThreads()
            left = now().sorted(without: before)
            return left.isEmpty
        }
        if !isClean {
            Issue.record("the test left behind: \(left.joined(separator: ", "))", sourceLocation: sourceLocation)
        }
    }

    private func sorted(without before: LeakCheck) -> [String] {
        let descriptors = descriptors.filter { before.descriptors[$0.key] != $0.value }
        let threads = threads.filter { before.threads[$0.key] == nil }
        return descriptors.map { "descriptor \($0.key) (\($0.value))" }.sorted()
            + threads.map { "OS thread \($0.key) (\($0.value))" }.sorted()
    }

    // MARK: OS threads

    // The test library and the Swift runtime start threads at any time.  The threads that a test has started, however indirectly, are
    // found by a signal mask, which an OS thread inherits from its creator.
    private static let mark = __libc_current_sigrtmax() - 7

    /// Marks the calling OS thread, and so all OS threads that it starts.
    static func markOSThread() { changeMask(SIG_BLOCK) }

    /// For an OS thread that a test has started, and that stays.
    static func unmarkOSThread() { changeMask(SIG_UNBLOCK) }

    private static func changeMask(_ change: Int32) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, mark)
        pthread_sigmask(change, &set, nil)
    }

    private static func markedThreads() -> [Int32: String] {
        let path = "/proc/self/task"
        return Dictionary(
            uniqueKeysWithValues: ProcFS.numbers(in: path).compactMap { number in
                guard let status = SmallFile.text(of: "\(path)/\(number)/status"),
                    let mask = ProcFS.field("SigBlk", of: status).flatMap({ UInt64($0, radix: 16) }),
                    mask & 1 << UInt64(mark - 1) != 0
                else { return nil }
                let name = ProcFS.field("Name", of: status) ?? "?"
                // Those of Dispatch, which keeps them for a while, and of the test library have the mask of whatever code asked for them first.
                return name.hasSuffix("-qos") || name.hasPrefix("SWT ") ? nil : (number, name)
            })
    }
}

// MARK: - Polling

/// Polls `condition` until it is true, for `limit` at most; returns whether it became true.  Blocks the OS thread between two
/// polls, so it is not for a hub whose green threads must go on.
package func eventually(within limit: Duration = .seconds(10), _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline.after(limit * Sanitizer.slowness)
    while true {
        if try condition() { return true }
        if deadline.hasPassed { return false }
        poll(nil, 0, 1)
    }
}
