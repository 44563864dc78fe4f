// A program with GreenPatch in it, for its tests and benchmarks, with status 0 where all was as it should be:
//
//     PatchedProgram --list                                   # names the cases
//     PatchedProgram CASE
//     PatchedProgram --library NAME COUNT WORDS...            # makes calls of a C library at the same time, and prints how it went
//     PatchedProgram --library-unpatched NAME COUNT WORDS...
//     PatchedProgram --disturb NAME SEEDS WORDS...            # calls that are killed, late, or left alone
//     PatchedProgram --http-server
//
// A program of its own, since the tests of GreenNet put calls of their own before the C library's, as GreenPatch does.

import Glibc
import GreenNet
import GreenPatch

@main struct PatchedProgram {
    static let cases = ofProbes + ofInstalls + ofCalls + ofWatches

    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        if words == ["--list"] { return print(cases.map(\.name).joined(separator: "\n")) }
        guard let task = cases.first(where: { [$0.name] == words })?.run ?? libraryTask(words) else { exit(64) }
        let before = openDescriptors()
        do { try task() } catch { expect(false, "threw \(error)") }
        GreenPatch.uninstall()
        if PatchedWait.isOnHub { Hub.current.close() }
        // A look-up whose caller has left runs on for a while.
        for _ in 0..<10_000 where OffloadPool.endIdleThreads() > 0 { usleep(1_000) }
        expect(openDescriptors() == before, "descriptors \(before) before, \(openDescriptors()) after")
        exit(failures == 0 ? 0 : 1)
    }
}

private func libraryTask(_ words: [String]) -> (@Sendable () throws -> Void)? {
    if words == ["--http-server"] { return serveHTTP }
    guard words.count > 2, let count = Int(words[2]), let library = Library.all.first(where: { $0.name == words[1] })
    else { return nil }
    let rest = Array(words.dropFirst(3))
    switch words[0] {
    case "--library": return { try patched(library) { try library.run(count, rest) } }
    case "--library-unpatched": return { try patched(library, false) { try library.run(count, rest) } }
    case "--disturb": return { try patched(library) { try library.disturb(seeds: count, rest) } }
    default: return nil
    }
}

private func patched(_ library: Library, _ isPatched: Bool = true, _ body: () throws -> Void) throws {
    try library.load()
    _ = Hub.current
    if isPatched { try GreenPatch.install() }
    try body()
}

/// What is tried, with the hub and the install that it needs.
struct Case: Sendable {
    let name: String
    let run: @Sendable () throws -> Void

    init(_ name: String, _ run: @escaping @Sendable () throws -> Void) { (self.name, self.run) = (name, run) }

    /// With GreenPatch installed.
    static func patched(
        _ name: String, main: Bool = false, mutexes: Bool = false, _ run: @escaping @Sendable () throws -> Void
    ) -> Case {
        Case(name) {
            _ = Hub.current
            try GreenPatch.install(main: main, mutexes: mutexes)
            try run()
        }
    }
}

// The program has one OS thread that checks.
nonisolated(unsafe) private var failures = 0

func expect(_ holds: Bool, _ text: @autoclosure () -> String = "", file: StaticString = #fileID, line: UInt = #line) {
    if holds { return }
    failures += 1
    print("\(file):\(line): not so: \(text())")
    fflush(nil)
}

/// The error that `body` throws.
func failure<Value>(of body: () throws -> Value) -> (any Error)? {
    do {
        _ = try body()
        return nil
    } catch { return error }
}

/// What a slow machine may add to a duration.
let slack = Duration.seconds(5)

func elapsed(_ body: () throws -> Void) rethrows -> Duration {
    let start = Deadline.now
    try body()
    return .now - start
}

/// Without an eventfd that libdispatch opens for its main queue, once, and keeps.
private func openDescriptors() -> [Int32] {
    (0..<1024).filter { fcntl($0, F_GETFD) >= 0 && linkTarget("/proc/self/fd/\($0)") != "anon_inode:[eventfd]" }
}

private func linkTarget(_ path: String) -> String {
    var bytes = [CChar](repeating: 0, count: 100)
    let count = readlink(path, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// A pipe whose calls are plain ones of the C library.
struct Pipe: Sendable {
    let reading: Int32
    let writing: Int32

    init() {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { fatalError("no pipe: errno \(errno)") }
        (reading, writing) = (ends[0], ends[1])
    }

    /// One end of a socket pair.
    init(_ socket: Int32) { (reading, writing) = (socket, socket) }

    func close() {
        Glibc.close(reading)
        Glibc.close(writing)
    }

    /// Negative: -errno.  256: the end.
    func readByte() -> Int {
        var byte: UInt8 = 0
        let count = read(reading, &byte, 1)
        return count == 1 ? Int(byte) : count == 0 ? 256 : -Int(errno)
    }

    func writeByte(_ value: UInt8) {
        var byte = value
        _ = write(writing, &byte, 1)
    }
}
