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
        guard let file = fopen(path, "we") else { throw BenchFailure("cannot write \(path): \(SystemError(errno))") }
        self.file = file
        setvbuf(file, nil, _IOLBF, 0)
    }

    deinit { fclose(file) }

    func write(_ text: String) throws {
        if fputs(text, file) < 0 { throw BenchFailure("cannot write \(path): \(SystemError(errno))") }
    }

    private static func makeFolder(_ path: String) {
        guard !path.isEmpty, access(path, F_OK) != 0 else { return }
        if let slash = path.lastIndex(of: "/") { makeFolder(String(path[..<slash])) }
        mkdir(path, 0o777)
    }
}
