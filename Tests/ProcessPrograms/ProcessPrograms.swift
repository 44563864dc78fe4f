// Programs that fork or execute themselves, of which each needs a process of its own with one OS thread: `ProcessPrograms NAME [ARGUMENT...]` runs one.
// It prints "ok" at its end, or what was wrong.  `--list` names them.

@preconcurrency import Glibc
import GreenNet

@main struct ProcessPrograms {
    static func main() {
        ProcessPool.serveIfWorker(doubled, failing, unprepared, asking)
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments == ["--list"] { return print(all.map { $0.name }.joined(separator: "\n")) }
        guard let program = all.first(where: { $0.name == arguments.first }) else { exit(64) }
        // A test that reads the output would else see it at the end only.
        setvbuf(stdout, nil, Int32(_IOLBF), 0)
        do { try program.run(Array(arguments.dropFirst())) } catch { fail("threw \(error)") }
        print("ok")
    }
}

struct ProcessProgram: Sendable {
    let name: String
    /// Called on the main OS thread, before any hub.
    let run: @Sendable ([String]) throws -> Void

    init(_ name: String, _ run: @escaping @Sendable ([String]) throws -> Void) { (self.name, self.run) = (name, run) }
    init(_ name: String, _ run: @escaping @Sendable () throws -> Void) { self.init(name) { _ in try run() } }
}

let all = childPrograms + callPrograms + endPrograms + executedPrograms + mistakePrograms + killPrograms

// MARK: - Checks

/// Ends the program with `text` where `condition` is false.
func check(_ condition: Bool, _ text: @autoclosure () -> String, line: UInt = #line) {
    if !condition { fail("line \(line): \(text())") }
}

func fail(_ text: String) -> Never {
    print(text)
    fflush(nil)
    _exit(1)
}

/// What `body` throws, which must be an `Expected`.
@discardableResult
func expect<Expected: Error>(_ type: Expected.Type, line: UInt = #line, _ body: () throws -> Void) -> Expected {
    do { try body() } catch {
        guard let error = error as? Expected else { fail("line \(line): threw \(error), not \(type)") }
        return error
    }
    fail("line \(line): threw nothing, not \(type)")
}

/// Waits until `condition` is true.
func eventually(_ text: String, line: UInt = #line, _ condition: () throws -> Bool) throws {
    let end = Deadline.after(.seconds(30))
    while try !condition() {
        check(!end.hasPassed, "\(text): not within 30 s", line: line)
        try Greenlet.sleep(for: .milliseconds(1))
    }
}

/// A number of /proc/self/status, such as that of `Threads`.
func statusNumber(_ key: String) -> Int {
    let file = fopen("/proc/self/status", "r")!
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if text.hasPrefix(key + ":") { return Int(text.filter(\.isNumber)) ?? -1 }
    }
    return -1
}

/// The sanitizer's own not counted.
var osThreads: Int { statusNumber("Threads") - (Sanitizer.active == .thread ? 1 : 0) }

/// Whether a process with that id is there, and has not ended.
func isRunning(_ pid: Int32) -> Bool {
    guard let file = fopen("/proc/\(pid)/stat", "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    guard fgets(&line, Int32(line.count), file) != nil else { return false }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return false }
    return !["Z", "X"].contains(text[end...].dropFirst(2).prefix(1))
}

/// Whether this process has children that it has not collected.
var hasChildren: Bool {
    var information = siginfo_t()
    return waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0
}

func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

var openDescriptors: Int { (0..<Int32(256)).count(where: isOpen) }

/// Keeps the processor busy for ever.
func burn() -> Never {
    var number = 0
    while true { number &+= Int(clock()) & 1 }
}

/// A file that all processes write to, a line each: what happened, in that order.
struct Journal {
    private let path: String

    init() {
        var name = Array("/tmp/journal-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        check(file >= 0, "no journal")
        close(file)
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Opened anew, for a child has none of its parent's descriptors.
    func write(_ line: String) {
        let file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { close(file) }
        let bytes = Array((line + "\n").utf8)
        _ = Glibc.write(file, bytes, bytes.count)
    }

    var lines: [String] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func remove() { unlink(path) }
}
