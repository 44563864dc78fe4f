import Glibc
import GreenNet

/// Reads files whole.
enum SmallFile {
    /// Never waits: a hub may call it.  Throws what the kernel refuses, EFBIG for more than `limit` bytes, and ESPIPE for a pipe or a terminal: to read
    /// one would wait, and it has nothing more when it is read again.
    static func read(_ path: String, upTo limit: Int) throws(SystemError) -> [UInt8] {
        // Without O_NONBLOCK, to open a pipe would wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        if descriptor < 0 { throw SystemError(errno) }
        defer { close(descriptor) }
        if lseek(descriptor, 0, SEEK_CUR) < 0 { throw SystemError(errno) }
        return try readToEnd(descriptor, upTo: limit)
    }

    /// Waits for its end: to be called before there is a hub.
    static func readStandardInput(upTo limit: Int) throws(SystemError) -> [UInt8] {
        try readToEnd(STDIN_FILENO, upTo: limit)
    }

    private static func readToEnd(_ descriptor: Int32, upTo limit: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
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
}
