import Glibc

/// What the kernel tells of the locks of files, and of the processes that hold them.
enum LockTable {
    /// The process that has an flock of the open file `descriptor`; nil where the kernel does not tell, as of another namespace of processes.
    static func holder(of descriptor: Int32) -> Int32? {
        let status = SystemCalls.status(descriptor).status
        let locks = text(of: "/proc/locks").split(separator: "\n").compactMap { LockLine($0) }
        let candidates = locks.filter { $0.file == UInt64(status.st_ino) }
        // A file system may show another device to stat(2): then the file's number has to do.
        let exact = candidates.first { ($0.major, $0.minor) == parts(of: status.st_dev) }
        return (exact ?? (candidates.count == 1 ? candidates[0] : nil)).flatMap { $0.holder > 0 ? $0.holder : nil }
    }

    /// As ps(1) shows it.
    static func name(of process: Int32) -> String? {
        let name = text(of: "/proc/\(process)/comm").split(separator: "\n").first
        return name.map { String($0) }
    }

    /// Of one of the kernel's files, which wait for no disk; empty where there is none.
    private static func text(of path: String) -> String {
        let bytes = try? withFile(path, O_RDONLY) { file in
            var bytes: [UInt8] = []
            var part = [UInt8](repeating: 0, count: 16 << 10)
            while true {
                let count = part.withUnsafeMutableBytes { SystemCalls.read(file, into: $0) }
                if count <= 0 { return bytes }
                bytes += part[..<count]
            }
        }
        return String(decoding: bytes ?? [], as: UTF8.self)
    }

    private static func parts(of device: dev_t) -> (UInt64, UInt64) {
        let device = UInt64(device)
        return ((device >> 8) & 0xfff | (device >> 32) & ~0xfff, device & 0xff | (device >> 12) & ~0xff)
    }
}

/// A line of /proc/locks: `3: FLOCK  ADVISORY  WRITE 4711 fe:01:131080 0 EOF`.
struct LockLine {
    let holder: Int32
    let major: UInt64
    let minor: UInt64
    let file: UInt64

    /// Nil for one of another kind, or of a process that waits, which has `->` in front.
    init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count >= 6, words[1] == "FLOCK", let holder = Int32(words[4]) else { return nil }
        let place = words[5].split(separator: ":")
        guard place.count == 3, let major = UInt64(place[0], radix: 16), let minor = UInt64(place[1], radix: 16),
            let file = UInt64(place[2])
        else { return nil }
        (self.holder, self.major, self.minor, self.file) = (holder, major, minor, file)
    }
}
