import Glibc
import GreenNet

/// Reads and writes files whole.  Each call blocks for as long as the file system takes.
package enum SmallFile {
    /// Never waits for another process: a hub may call it.  Throws where the kernel refuses, EFBIG where there are more than `limit` bytes, and ESPIPE for a pipe
    /// or a terminal: that would have to be waited for, and has nothing more to say when it is read again.
    package static func read(_ path: String, upTo limit: Int) throws(SystemError) -> [UInt8] {
        // Even to open a pipe waits, for a process that writes.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        if descriptor < 0 { throw SystemError(errno) }
        defer { close(descriptor) }
        if lseek(descriptor, 0, SEEK_CUR) < 0 { throw SystemError(errno) }
        return try readToEnd(descriptor, upTo: limit)
    }

    /// Waits for its end.  Before there is a hub.
    package static func readStandardInput(upTo limit: Int) throws(SystemError) -> [UInt8] {
        try readToEnd(STDIN_FILENO, upTo: limit)
    }

    /// What a file has as text, such as one of the kernel's; nil where it is missing or can't be read.
    package static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { return nil }
        defer { close(descriptor) }
        return (try? readToEnd(descriptor, upTo: .max)).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func readToEnd(_ descriptor: Int32, upTo limit: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &part, part.count)
            if count < 0 {
                let number = errno
                if number == EINTR { continue }
                throw SystemError(number)
            }
            if count == 0 { return bytes }
            bytes += part[..<count]
            if bytes.count > limit { throw SystemError(EFBIG) }
        }
    }

    /// Makes a file, or replaces what is in it.
    package static func write(_ text: String, to path: String) throws(SystemError) {
        guard let file = fopen(path, "we") else { throw SystemError(errno) }
        let bytes = Array(text.utf8)
        let written = fwrite(bytes, 1, bytes.count, file)
        let number = errno
        // A full disk may show only now.
        if fclose(file) != 0 { throw SystemError(errno) }
        if written != bytes.count { throw SystemError(number) }
    }

    /// The names in a directory, sorted; none where there is no such directory.
    package static func entries(of path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names.filter { $0 != "." && $0 != ".." }.sorted()
    }
}
