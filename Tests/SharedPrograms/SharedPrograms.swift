// Programs of several processes that share memory: `SharedPrograms NAME` runs one.  It prints "ok" at its end, or what was wrong.  `--list` names them.
// A process that forks has one OS thread, so that tests can't do it themselves.

import Glibc
import GreenNet

@main struct SharedPrograms {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments == ["--list"] { return print(all.map(\.name).joined(separator: "\n")) }
        guard let program = all.first(where: { $0.name == arguments.first }) else { exit(64) }
        let before = openDescriptors()
        do { try program.run(Array(arguments.dropFirst())) } catch { fail("threw \(error)") }
        check(openChildren == 0, "\(openChildren) children are left")
        try? Hub.current.run(until: .after(.seconds(1)))
        checkNothingIsLeft(before)
        // The one that has started it says it.
        if program.name != "joined" { print("ok") }
    }

    /// The hub is closed by then; the sockets that processes keep for their life stay.
    private static func checkNothingIsLeft(_ before: [String]) {
        Hub.current.close()
        let left = openDescriptors().filter { !before.contains($0) && !$0.contains("socket:") }
        check(left.isEmpty, "left open: \(left)")
        let sockets = openDescriptors().filter { $0.contains("socket:") }.count
        check(sockets <= 5, "\(sockets) sockets are left open")
        let maps = readFile("/proc/self/maps").split(separator: "\n").filter { $0.contains("memfd:GreenNet") }
        check(maps.isEmpty, "left mapped: \(maps)")
    }
}

struct SharedProgram: Sendable {
    let name: String
    /// Called on the main OS thread, before any hub, with the further arguments.
    let run: @Sendable ([String]) throws -> Void

    init(_ name: String, _ run: @escaping @Sendable ([String]) throws -> Void) { (self.name, self.run) = (name, run) }
}

let all =
    crowdPrograms + tablePrograms + joiningPrograms + identityPrograms + quietPrograms + killPrograms

// MARK: - Checks

/// Ends the program with `text` where `condition` is false.
func check(_ condition: Bool, _ text: @autoclosure () -> String, line: UInt = #line) {
    if !condition { fail("line \(line): \(text())") }
}

func fail(_ text: String) -> Never {
    print(text)
    fflush(nil)
    // Children end with it.
    _exit(1)
}

func readFile(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
    return String(decoding: text, as: UTF8.self)
}

/// What each descriptor refers to.
func openDescriptors() -> [String] {
    (0..<256).compactMap { number in
        var target = [CChar](repeating: 0, count: 256)
        guard readlink("/proc/self/fd/\(number)", &target, 255) > 0 else { return nil }
        return String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

// MARK: - Children

nonisolated(unsafe) var openChildren = 0

/// Runs `body` in a forked child, which ends with status 0, or 1 and the text of what was wrong.
func fork(_ body: @escaping () throws -> Void) -> pid_t {
    fflush(nil)
    do {
        let pid = try Fork.child(Fork.Inheritance()) {
            do { try body() } catch { fail("a child threw \(error)") }
            return 0
        }
        openChildren += 1
        return pid
    } catch {
        fail("fork: \(error)")
    }
}

/// Waits for the end of `pid`, while the green threads of this process go on, and returns its status.
@discardableResult
func end(of pid: pid_t, within limit: Duration = .seconds(60), line: UInt = #line) -> ChildProcess.Exit {
    let deadline = Deadline.after(limit)
    var status: Int32 = 0
    while waitpid(pid, &status, WNOHANG) == 0 {
        check(!deadline.hasPassed, "line \(line): child \(pid) has not ended: \(readFile("/proc/\(pid)/wchan"))")
        pauseBriefly()
    }
    openChildren -= 1
    return ChildProcess.Exit(waitStatus: status)
}

func expectSuccess(_ pids: [pid_t], line: UInt = #line) {
    for pid in pids {
        let exit = end(of: pid, line: line)
        check(exit == .status(0), "line \(line): child \(pid) has ended with \(exit)")
    }
}

/// This process, at once.
func killItself() -> Never {
    kill(getpid(), SIGKILL)
    while true { pause() }
}

/// Makes no hub.
private func pauseBriefly() {
    if PatchedWait.isOnHub { try? Greenlet.sleep(for: .milliseconds(1)) } else { poll(nil, 0, 1) }
}

/// Waits until `condition` holds, while the green threads of this process go on.  It makes no hub.
func wait(_ what: String, until condition: () -> Bool, line: UInt = #line) {
    let deadline = Deadline.after(.seconds(30))
    while !condition() {
        check(!deadline.hasPassed, "line \(line): not within 30 s: \(what)")
        pauseBriefly()
    }
}

/// Waits for the end of `pid`.
func collect(_ pid: pid_t) { end(of: pid) }
