import Glibc
import GreenNet
import TestSupport

/// A control group with a limit on memory, for one test.
final class MemoryCgroup: Sendable {
    private let directory: String

    /// Throws if this user can't make such a group, or this kernel has none.
    init(limit: Int) throws {
        guard let parent = MemoryCgroup.parent else { throw Unexpected("no memory cgroup here") }
        directory = "\(parent.directory)/greennet-test-\(UInt32.random(in: 0 ... .max))"
        guard mkdir(directory, 0o755) == 0 else { throw Unexpected("mkdir \(directory): \(SystemError(errno))") }
        try write("\(limit)", to: parent.isUnified ? "memory.max" : "memory.limit_in_bytes")
        // With swap space, memory would never be used up.
        try? write(
            parent.isUnified ? "0" : "\(limit)",
            to: parent.isUnified ? "memory.swap.max" : "memory.memsw.limit_in_bytes")
    }

    deinit { rmdir(directory) }

    /// The shell command by which a process enters the group.
    var entering: String { "echo $$ > \(directory)/cgroup.procs" }

    private func write(_ text: String, to file: String) throws {
        let descriptor = open("\(directory)/\(file)", O_WRONLY | O_CLOEXEC)
        if descriptor < 0 { throw Unexpected("open \(file): \(SystemError(errno))") }
        defer { close(descriptor) }
        if Glibc.write(descriptor, text, text.utf8.count) < 0 {
            throw Unexpected("write \(file): \(SystemError(errno))")
        }
    }

    /// Where groups can be made: in the memory hierarchy of cgroups' first version, or in the second version's if that controls memory.
    private static var parent: (directory: String, isUnified: Bool)? {
        if access("/sys/fs/cgroup/memory/memory.limit_in_bytes", W_OK) == 0 { return ("/sys/fs/cgroup/memory", false) }
        let delegated = ProcessStatus.contents(of: "/sys/fs/cgroup/cgroup.subtree_control") ?? ""
        return delegated.split(whereSeparator: \.isWhitespace).contains("memory") && access("/sys/fs/cgroup", W_OK) == 0
            ? ("/sys/fs/cgroup", true) : nil
    }

    static let isUsable: Bool = (try? MemoryCgroup(limit: 64 << 20)) != nil
}
