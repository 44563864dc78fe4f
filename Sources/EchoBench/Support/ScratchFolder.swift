import Glibc
import GreenNet
import ProgramKit

/// A temporary folder for `body`, removed with all files in it afterwards.
func withScratchFolder<Value>(_ body: (String) throws -> Value) throws -> Value {
    var template = Array("/tmp/EchoBench.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw BenchFailure("cannot make a folder in /tmp: \(SystemError(errno))") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
        for name in SmallFile.entries(of: path) { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    return try body(path)
}
