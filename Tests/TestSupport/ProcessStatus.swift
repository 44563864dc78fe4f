import Glibc

/// What the kernel tells of a process.
package struct ProcessStatus: Sendable {
    package let threads: Int
    /// Open descriptors.
    package let descriptors: Int
    /// What each open descriptor refers to, such as `socket:[4711]`.
    package let descriptorTargets: [String]
    /// In bytes, now and at the most.
    package let residentMemory: Int
    package let peakResidentMemory: Int
    /// By all threads, in user and in system mode; to 10 ms.
    package let processorTime: Duration
    package let children: [pid_t]

    /// Nil where the process has ended, though nobody may have waited for it yet.
    package init?(_ pid: pid_t) {
        guard let status = ProcessStatus.contents(of: "/proc/\(pid)/status"),
            let stat = ProcessStatus.contents(of: "/proc/\(pid)/stat"),
            let threads = ProcessStatus.field("Threads", of: status),
            let resident = ProcessStatus.field("VmRSS", of: status),
            let peak = ProcessStatus.field("VmHWM", of: status)
        else { return nil }
        self.threads = threads
        (residentMemory, peakResidentMemory) = (resident << 10, peak << 10)
        processorTime = ProcessStatus.processorTime(stat)
        descriptorTargets = ProcessStatus.numbers(in: "/proc/\(pid)/fd").compactMap {
            ProcessStatus.linkTarget("/proc/\(pid)/fd/\($0)")
        }
        descriptors = descriptorTargets.count
        children = ProcessStatus.children(of: pid)
    }

    /// Those of all its threads.
    package static func children(of pid: pid_t) -> [pid_t] {
        numbers(in: "/proc/\(pid)/task").flatMap { thread in
            (contents(of: "/proc/\(pid)/task/\(thread)/children") ?? "").split(separator: " ").compactMap { pid_t($0) }
        }
    }

    private static func field(_ name: String, of status: String) -> Int? {
        let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap { Int($0) }
    }

    /// proc(5): utime and stime are the 14th and 15th field; the second, the name, may hold anything, parentheses included.
    private static func processorTime(_ stat: String) -> Duration {
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Int(fields[12]), let system = Int(fields[13]) else { return .zero }
        return .milliseconds((user + system) * 1000 / sysconf(Int32(_SC_CLK_TCK)))
    }
}

// MARK: - Files of /proc

extension ProcessStatus {
    /// Nil where there is none, or no more.
    package static func contents(of path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    package static func linkTarget(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer in
            let count = buffer.withMemoryRebound(to: CChar.self) { readlink(path, $0.baseAddress!, $0.count) }
            return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    /// The entries of a directory that are numbers, without the descriptor that this takes itself.
    package static func numbers(in path: String) -> [Int32] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        let own = path == "/proc/self/fd" ? dirfd(directory) : -1
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name), number != own { found.append(number) }
        }
        return found
    }
}
