import Glibc
import GreenNet

/// Reads files whole.
enum SmallFile {
    /// Throws where the kernel refuses, and EFBIG where there is more than `limit`.
    static func read(_ path: String, upTo limit: Int) throws(Errno) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw Errno(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &part, part.count)
            if count < 0 {
                let number = errno
                if number == EINTR { continue }
                throw Errno(number)
            }
            if count == 0 { return bytes }
            bytes += part[..<count]
            if bytes.count > limit { throw Errno(EFBIG) }
        }
    }
}
