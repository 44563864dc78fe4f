import Glibc
import GreenNet

/// A file that is written from its beginning.
final class TextFile {
    private let path: String
    private let file: UnsafeMutablePointer<FILE>

    /// Makes the folder that it lies in, too.
    init(creating path: String) throws {
        self.path = path
        if let slash = path.lastIndex(of: "/") { TextFile.makeFolder(String(path[..<slash])) }
        guard let file = fopen(path, "we") else { throw BenchFailure("cannot write \(path): \(errnoName(errno))") }
        self.file = file
        setvbuf(file, nil, _IOLBF, 0)
    }

    deinit { fclose(file) }

    func write(_ text: String) throws {
        if fputs(text, file) < 0 { throw BenchFailure("cannot write \(path): \(errnoName(errno))") }
    }

    private static func makeFolder(_ path: String) {
        guard !path.isEmpty, access(path, F_OK) != 0 else { return }
        if let slash = path.lastIndex(of: "/") { makeFolder(String(path[..<slash])) }
        mkdir(path, 0o777)
    }

    /// Nil where there is no such file, or it can't be read.
    static func contents(of path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}

/// What `number` means, in the system's words.
func errnoName(_ number: Int32) -> String { String(cString: strerror(number)) }
