import Glibc
import GreenNet
import ProgramKit
import Testing

/// What the process holds that a test may have left there: descriptors, and OS threads that were started by those of a test.
struct LeakCheck {
    /// What each refers to, such as `socket:[4711]`, by number.
    private let descriptors: [Int32: String]
    /// By the kernel's number.
    private let threads: [Int32: String]

    static func now() -> LeakCheck { LeakCheck(descriptors: ProcFS.ownDescriptors, threads: markedThreads()) }

    /// Records an issue for each thing that was not there before.  An OS thread takes a moment to disappear, hence the polls.
    static func expectNoMore(than before: LeakCheck, _ sourceLocation: SourceLocation) {
        var left: [String] = []
        let isClean = eventually {
            // They would be kept for some seconds.
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

    // The test library and the Swift runtime start threads when they like.  Those that a test has started, however indirectly, are
    // told apart by a signal mask, which an OS thread inherits from the one that makes it.
    private static let mark = __libc_current_sigrtmax() - 7

    /// Marks the calling OS thread, and so all that it starts.
    static func markOSThread() {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, mark)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private static func markedThreads() -> [Int32: String] {
        let path = "/proc/self/task"
        return Dictionary(
            uniqueKeysWithValues: ProcFS.numbers(in: path).compactMap { number in
                guard let status = SmallFile.text(of: "\(path)/\(number)/status"),
                    let mask = ProcFS.field("SigBlk", of: status).flatMap({ UInt64($0, radix: 16) }),
                    mask & 1 << UInt64(mark - 1) != 0
                else { return nil }
                return (number, ProcFS.field("Name", of: status) ?? "?")
            })
    }
}

// MARK: - Polling

/// Looks at `condition` until it is true, for as long as `limit`; returns whether it became so.  Blocks the OS thread between two
/// looks, so it is not for a hub that shall go on running.
package func eventually(within limit: Duration = .seconds(10), _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline.after(limit * Sanitizer.slowness)
    while true {
        if try condition() { return true }
        if deadline.hasPassed { return false }
        poll(nil, 0, 1)
    }
}
