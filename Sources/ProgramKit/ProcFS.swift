import Glibc
import GreenNet

/// What the kernel shows of processes below /proc.  All of it is missing where that is not mounted.
package enum ProcFS {
    /// The entries of a directory that are numbers: processes, OS threads, descriptors.
    ///
    /// Of `/proc/self/fd`, the last is the descriptor that this call had open.
    package static func numbers(in path: String) -> [Int32] {
        SmallFile.entries(of: path).compactMap { Int32($0) }.sorted()
    }

    /// What each open descriptor of this process refers to, such as `socket:[4711]`.
    package static var ownDescriptors: [Int32: String] { descriptors(of: "self") }

    /// What each open descriptor of a process refers to, such as `socket:[4711]`.
    package static func descriptors(of pid: pid_t) -> [Int32: String] { descriptors(of: "\(pid)") }

    private static func descriptors(of process: String) -> [Int32: String] {
        let path = "/proc/\(process)/fd"
        return numbers(in: path).reduce(into: [:]) { found, number in
            // One that was open for the list is gone by now.
            found[number] = linkTarget("\(path)/\(number)")
        }
    }

    /// Where a symbolic link leads; nil where there is none.
    package static func linkTarget(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer in
            let count = readlink(path, buffer.baseAddress!, buffer.count)
            return count < 0 ? nil : String(showing: buffer[..<count])
        }
    }

    /// The children of all OS threads of a process.
    package static func children(of pid: pid_t) -> [pid_t] {
        numbers(in: "/proc/\(pid)/task").flatMap { thread in
            (SmallFile.text(of: "/proc/\(pid)/task/\(thread)/children") ?? "").split(separator: " ")
                .compactMap { pid_t($0) }
        }
    }

    /// What stands after `name:` at the beginning of a line, in `/proc/PID/status` and the like.
    package static func field(_ name: String, of text: String) -> String? {
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line.map { String($0.dropFirst(name.count + 1).drop { " \t".contains($0) }) }
    }

    /// The number after `name:` at the beginning of a line; its unit is left out.
    package static func number(_ name: String, of text: String) -> Int? {
        field(name, of: text).flatMap { Int($0.prefix { $0 != " " }) }
    }
}
