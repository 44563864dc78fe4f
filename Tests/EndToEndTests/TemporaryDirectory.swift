import Glibc
import GreenNet

/// Gives `body` a path in a directory of its own, which is removed afterwards with all the files in it.
func withTemporaryPath<R>(_ name: String = "socket", _ body: (String) throws -> R) throws -> R {
    var template = Array("/tmp/greennet-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Unexpected("mkdtemp: \(Errno(errno))") }
    let directory = String(cString: made)
    defer {
        unlink("\(directory)/\(name)")
        rmdir(directory)
    }
    return try body("\(directory)/\(name)")
}
