import Glibc
import GreenNet
import Testing

/// What the process holds that a test may have left there: descriptors, and OS threads that were started by those of a test.
struct LeakCheck {
    /// What each refers to, such as `socket:[4711]`, by number.
    private let descriptors: [Int32: String]
    /// By the kernel's number.
    private let threads: [Int32: String]

    static func now() -> LeakCheck { LeakCheck(descriptors: openDescriptors(), threads: markedThreads()) }

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

    // MARK: Descriptors

    private static func openDescriptors() -> [Int32: String] {
        let path = "/proc/self/fd"
        return Dictionary(
            uniqueKeysWithValues: numbers(in: path).compactMap { number in
                linkTarget("\(path)/\(number)").map { (number, $0) }
            })
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
            uniqueKeysWithValues: numbers(in: path).compactMap { number in
                guard let status = contents(of: "\(path)/\(number)/status"),
                    let mask = field("SigBlk", of: status).flatMap({ UInt64($0, radix: 16) }),
                    mask & 1 << UInt64(mark - 1) != 0
                else { return nil }
                return (number, field("Name", of: status) ?? "?")
            })
    }

    private static func field(_ name: String, of status: String) -> String? {
        let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):\t") }
        return line.map { String($0.dropFirst(name.count + 2)) }
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

// MARK: - /proc

private func numbers(in path: String) -> [Int32] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    let own = dirfd(directory)
    var found: [Int32] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if let number = Int32(name), number != own { found.append(number) }
    }
    return found
}

/// Nil where it has gone meanwhile.
private func linkTarget(_ path: String) -> String? {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 512) { buffer in
        let count = buffer.withMemoryRebound(to: CChar.self) { readlink(path, $0.baseAddress!, $0.count) }
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }
}

private func contents(of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 8192) { buffer in
        let count = fread(buffer.baseAddress!, 1, buffer.count, file)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
