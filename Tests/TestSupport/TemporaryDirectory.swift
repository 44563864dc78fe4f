import Glibc
import GreenNet
import ProgramKit

/// Gives `body` a directory, which is removed afterwards with all the files in it.
package func withTemporaryDirectory<R>(_ body: (String) throws -> R) throws -> R {
    var template = Array("/tmp/greennet-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw ProgramFailure(text: "mkdtemp: \(SystemError(errno))") }
    let directory = String(cString: made)
    defer {
        for name in entries(of: directory) { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }
    return try body(directory)
}

/// Gives `body` a path in a directory of its own, which is removed afterwards with all the files in it.
package func withTemporaryPath<R>(_ name: String = "socket", _ body: (String) throws -> R) throws -> R {
    try withTemporaryDirectory { try body("\($0)/\(name)") }
}

/// The names in a directory, sorted; empty if there is no such directory.
package func entries(of path: String) -> [String] { SmallFile.entries(of: path) }

/// Creates a file, or replaces its contents.
package func write(_ text: String, to path: String) throws {
    do throws(SystemError) {
        try SmallFile.write(text, to: path)
    } catch {
        throw ProgramFailure(text: "\(path): \(error)")
    }
}
