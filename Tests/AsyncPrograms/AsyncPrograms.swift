// Programs of which each needs a process of its own: `AsyncPrograms NAME` runs one.  It prints "ok" at its end, or what was wrong.  `--list` names them.

import Glibc
import GreenNet

@main struct AsyncPrograms {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments == ["--list"] { return print(all.map(\.name).joined(separator: "\n")) }
        guard let program = all.first(where: { [$0.name] == arguments }) else { exit(64) }
        do { try program.run() } catch { fail("threw \(error)") }
        print("ok")
    }
}

struct AsyncProgram: Sendable {
    let name: String
    /// Called on the main OS thread, before any hub or task.
    let run: @Sendable () throws -> Void

    init(_ name: String, _ run: @escaping @Sendable () throws -> Void) { (self.name, self.run) = (name, run) }
}

let all = closingPrograms + defaultExecutorPrograms + mainQueuePrograms + requestPrograms

/// Ends the program with `text` where `condition` is false.
func check(_ condition: Bool, _ text: @autoclosure () -> String, line: UInt = #line) {
    if !condition { fail("line \(line): \(text())") }
}

func fail(_ text: String) -> Never {
    print(text)
    exit(1)
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

var osThreads: Int { statusNumber("Threads") }

/// The calling OS thread.  Not optimized: the C library says that `pthread_self` gives the same value for ever, which does not hold over an `await`.
@inline(never) @_optimize(none)
func osThread() -> pthread_t { pthread_self() }

/// Blocks the OS thread until `condition` is true.
func blockUntil(_ condition: () -> Bool, line: UInt = #line) {
    let end = Deadline.after(.seconds(30))
    while !condition() {
        check(!end.hasPassed, "took more than 30 s", line: line)
        poll(nil, 0, 1)
    }
}
