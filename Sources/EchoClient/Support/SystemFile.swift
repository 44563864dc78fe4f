import Glibc
import GreenNet

/// What the kernel tells in files.
enum SystemFile {
    /// Nil where there is none, or no more.
    static func contents(of path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        return withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { buffer in
            while true {
                let count = fread(buffer.baseAddress!, 1, buffer.count, file)
                if count == 0 { return String(decoding: bytes, as: UTF8.self) }
                bytes += buffer[..<count]
            }
        }
    }

    /// The entries of a directory that are numbers.
    static func numbers(in path: String) -> [Int32] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name) { found.append(number) }
        }
        return found
    }

    /// The number after `name:` at the beginning of a line.
    static func field(_ name: String, of text: String) -> Int? {
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.split { " \t".contains($0) }.dropFirst().first.flatMap { Int($0) }
    }

    /// What writes `text` to a file at `path`, in place of what was there.  Throws `Failure.notWritten`.
    static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "we") else { throw Failure.notWritten(path, SystemError(errno)) }
        let bytes = Array(text.utf8)
        let written = fwrite(bytes, 1, bytes.count, file)
        let number = errno
        // A full disk may show only now.
        if fclose(file) != 0 { throw Failure.notWritten(path, SystemError(errno)) }
        if written != bytes.count { throw Failure.notWritten(path, SystemError(number)) }
    }
}
