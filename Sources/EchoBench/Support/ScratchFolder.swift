import Glibc

/// A temporary folder for `body`, removed with all files in it afterwards.
func withScratchFolder<Value>(_ body: (String) throws -> Value) throws -> Value {
    var template = Array("/tmp/EchoBench.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw BenchFailure("cannot make a folder in /tmp: \(errnoName(errno))") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
        for name in entries(of: path) { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    return try body(path)
}

/// The names in a folder, but for those that begin with a point.  None where it can't be read.
func entries(of path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if !name.hasPrefix(".") { names.append(name) }
    }
    return names
}
