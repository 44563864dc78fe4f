import Glibc
import GreenNet

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

/// The names in a directory, sorted; none where there is no such directory.
package func entries(of path: String) -> [String] {
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

/// Makes a file, or replaces what is in it.
package func write(_ text: String, to path: String) throws {
    guard let file = fopen(path, "w") else { throw ProgramFailure(text: "\(path): \(SystemError(errno))") }
    defer { fclose(file) }
    fputs(text, file)
}
