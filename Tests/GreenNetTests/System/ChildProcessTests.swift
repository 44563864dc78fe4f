import Glibc
import ProgramKit
import TestSupport
import Testing

@testable import GreenNet

// `onHub` checks that no descriptor is left after any test.
struct ChildProcessTests {
    private func shell(_ script: String, _ body: (ChildProcess) throws -> Void) throws {
        try withChild("sh", ["-c", script], body)
    }

    @Test func `a program's end is reported as its status or its signal`() throws {
        try onHub {
            try shell("exit 0") { child in try #expect(child.wait() == .status(0)) }
            try shell("exit 7") { child in
                try #expect(child.wait() == .status(7))
                try #expect(child.wait(until: .now) == .status(7))
            }
            try shell("kill -TERM $$") { child in try #expect(child.wait() == .signal(SIGTERM)) }
        }
    }

    @Test func `a missing program is an error each time, and leaves nothing open`() throws {
        try onHub {
            for _ in 0..<7 {
                let error = #expect(throws: ChildError.self) { try withChild("/no/such/program") { _ in } }
                #expect(error == ChildError(program: "/no/such/program", errno: SystemError(ENOENT)))
                #expect(error?.description == "cannot start /no/such/program: no such file or directory (ENOENT)")
            }
            #expect(throws: ChildError.self) { try withChild("no-such-program-in-path") { _ in } }
            #expect(throws: ChildError.self) { try withChild("true\0") { _ in } }
        }
    }

    @Test func `a child has standard input, output and error`() throws {
        try onHub {
            try shell("read word; echo got $word; echo complains >&2; read rest || echo the end") { child in
                try child.input.sendAll(Array("one\n".utf8))
                try #expect(text(child.output, "got one\n".count) == "got one\n")
                try #expect(text(child.errorOutput, "complains\n".count) == "complains\n")
                try child.input.shutdownSending()
                try #expect(text(child.output, 100) == "the end\n")
                try #expect(child.wait() == .status(0))
            }
        }
    }

    @Test func `run writes the input, and returns all output`() throws {
        try onHub {
            let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 253) }
            let result = try ChildProcess.run("sh", ["-c", "cat; echo done >&2; exit 4"], input: bytes)
            #expect(result.exit == .status(4))
            #expect(result.output == bytes)
            #expect(result.errorOutput == Array("done\n".utf8))
        }
    }

    @Test func `a program need not read its input`() throws {
        try onHub {
            let result = try ChildProcess.run("true", input: [UInt8](repeating: 1, count: 4 << 20))
            #expect(result.exit == .status(0))
        }
    }

    @Test func `much output that is read late is complete, and the hub continues meanwhile`() throws {
        try onHub {
            try shell("head -c 1000000 /dev/zero") { child in
                #expect(throws: WaitError.deadlinePassed) { try child.wait(until: .after(.milliseconds(20))) }
                let all = try child.output.receiveAll()
                #expect(all == [UInt8](repeating: 0, count: 1_000_000))
                try #expect(child.wait() == .status(0))
            }
        }
    }

    @Test func `a child that still runs when the body ends is killed and reaped`() throws {
        try onHub {
            var pid: pid_t = 0
            try shell("exec sleep 1000") { pid = $0.pid }
            #expect(kill(pid, 0) < 0)
            #expect(throws: Failure(1)) {
                try shell("exec sleep 1000") { child in
                    pid = child.pid
                    throw Failure(1)
                }
            }
            #expect(kill(pid, 0) < 0)
        }
    }

    @Test func `a kill or a time limit of the waiting green thread ends the child too`() throws {
        try onHub {
            var pids: [pid_t] = []
            let wait = { (child: ChildProcess) in
                pids.append(child.pid)
                _ = try child.wait()
            }
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(5)) { try shell("exec sleep 1000", wait) }
            }
            let killed = spawn { try shell("exec sleep 1000", wait) }
            while pids.count < 2 { try Greenlet.yield() }
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            for pid in pids { #expect(kill(pid, 0) < 0) }
        }
    }

    @Test func `several green threads may wait for one child, and a signal ends it for all`() throws {
        try onHub {
            try shell("exec sleep 1000") { child in
                let waiters = (0..<3).map { _ in spawn { try child.wait() } }
                try Greenlet.yield()
                child.send(SIGINT)
                for waiter in waiters { try #expect(waiter.value() == .signal(SIGINT)) }
                // Another process may have its id by now.
                child.send(SIGKILL)
            }
        }
    }

    @Test func `a child gets three descriptors and the given environment`() throws {
        try onHub {
            let numbers = try ChildProcess.run("sh", ["-c", "ls /proc/$$/fd"])
            #expect(String(decoding: numbers.output, as: UTF8.self) == "0\n1\n2\n")
            let given = try ChildProcess.run("/usr/bin/env", environment: .only(["A": "b c"]))
            #expect(String(decoding: given.output, as: UTF8.self) == "A=b c\n")
            let inherited = try ChildProcess.run("sh", ["-c", "echo $PATH"])
            #expect(inherited.output != Array("\n".utf8))
        }
    }

    // MARK: Options

    @Test func `its environment is this one's with some variables set and others removed`() throws {
        try onHub {
            let changes: [String: String?] = ["PATH": nil, "GREENNET_CHILD": "a=b"]
            let result = try ChildProcess.run("/usr/bin/env", environment: .adding(changes))
            let variables = String(decoding: result.output, as: UTF8.self).split(separator: "\n").map(String.init)
            #expect(variables.contains("GREENNET_CHILD=a=b"))
            #expect(!variables.contains { $0.hasPrefix("PATH=") })
            #expect(variables.count >= ownEnvironment.count - 1)
        }
    }

    @Test func `a stream is a descriptor that is given, nothing, or this process's own`() throws {
        try onHub {
            var pipe = try GreenPipe()
            let script = "readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2"
            let options = ChildProcess.Options(
                input: .null, output: .descriptor(pipe.writing), errorOutput: .inherited)
            try withChild("sh", ["-c", script], options: options) { child in try #expect(child.wait() == .status(0)) }
            pipe.closeWriting()
            let links = [
                "/dev/null", ProcFS.linkTarget("/proc/self/fd/\(pipe.reading)"), ProcFS.linkTarget("/proc/self/fd/2"),
            ]
            var bytes = [UInt8](repeating: 0, count: 1000)
            let count = read(pipe.reading, &bytes, bytes.count)
            let lines = String(decoding: bytes[..<max(0, count)], as: UTF8.self).split(separator: "\n")
            #expect(lines.map(String.init) == links.compactMap { $0 })
        }
    }

    @Test func `a program ends by the signal that was asked for when the OS thread ends that has started it`() throws {
        let pid = try onOSThread {
            var start = ProgramStart(["/bin/sleep", "1000"], environment: [])
            start.signalAtStartersEnd = SIGTERM
            return try start.start()
        }
        var status: Int32 = 0
        #expect(waitpid(pid, &status, 0) == pid)
        #expect(ChildProcess.Exit(waitStatus: status) == .signal(SIGTERM))
    }

    @Test func `descriptors change places, and no others are open`() throws {
        try onHub {
            var pipe = try GreenPipe()
            // They become 0, 1 and so on: two of them exchange their numbers.
            let script = #"links=$(readlink /proc/$$/fd/*); echo "$links" >&4"#
            var start = ProgramStart(["/bin/sh", "-c", script], environment: [])
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            defer { close(null) }
            start.streams = [2, null, 0, nil, pipe.writing]
            let ends = (ProcFS.linkTarget("/proc/self/fd/2"), ProcFS.linkTarget("/proc/self/fd/0"))
            let pid = try start.start()
            #expect(waitpid(pid, nil, 0) == pid)
            pipe.closeWriting()
            var bytes = [UInt8](repeating: 0, count: 1000)
            let count = read(pipe.reading, &bytes, bytes.count)
            let lines = String(decoding: bytes[..<max(0, count)], as: UTF8.self).split(separator: "\n").map(String.init)
            #expect(lines.first == ends.0)
            #expect(lines.count >= 4 && lines[1] == "/dev/null" && lines[2] == ends.1)
            #expect(lines.last?.hasPrefix("pipe:") == true)
        }
    }

    // MARK: Groups

    @Test func `processes that a program has started end with it, and run does not wait for them`() throws {
        try onHub {
            let result = try ChildProcess.run("sh", ["-c", "sleep 1000 & echo $!"])
            #expect(result.exit == .status(0))
            let other = try #require(pid_t(String(decoding: result.output.dropLast(), as: UTF8.self)))
            #expect(eventually { !isRunning(other) })
        }
    }

    @Test func `a time limit or a kill during run leaves no process of the program behind`() throws {
        try onHub {
            let marks = (0..<2).map { _ in "1000.\(UInt32.random(in: 1 << 20 ... .max))" }
            let script = { (mark: String) in "sleep \(mark) & sleep \(mark) & wait" }
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(100)) { try ChildProcess.run("sh", ["-c", script(marks[0])]) }
            }
            let killed = spawn { try ChildProcess.run("sh", ["-c", script(marks[1])]) }
            try #expect(eventuallyOnHub { running(with: marks[1]) == 2 })
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            for mark in marks { #expect(eventually { running(with: mark) == 0 }) }
        }
    }

    @Test func `a process that keeps the input of an ended program open does not keep run waiting`() throws {
        try onHub {
            let bytes = [UInt8](repeating: 1, count: 4 << 20)
            let result = try ChildProcess.run("sh", ["-c", "exec 3<&0; sleep 1000 <&3 & echo done"], input: bytes)
            #expect(result.output == Array("done\n".utf8))
        }
    }

    @Test func `in the same group run waits for all that holds its output`() throws {
        try onHub {
            let script = "(sleep 0.1; echo late) & cut -d' ' -f5 /proc/$$/stat"
            let result = try ChildProcess.run("sh", ["-c", script], group: .inherited)
            #expect(String(decoding: result.output, as: UTF8.self) == "\(getpgrp())\nlate\n")
        }
    }

    @Test func `in a session of its own a child leads a group and has no terminal`() throws {
        try onHub {
            try withChild(
                "sh", ["-c", "cut -d' ' -f5,6 /proc/$$/stat; : </dev/tty"], options: .init(group: .ownSession)
            ) {
                child in
                let ids = "\(child.pid) \(child.pid)\n"
                try #expect(text(child.output, ids.count) == ids)
                // The child gets an error, instead of being stopped.
                try #expect(child.wait() != .status(0))
            }
        }
    }

    @Test func `a signal goes to all of a child's group`() throws {
        try onHub {
            let mark = "1000.\(UInt32.random(in: 1 << 20 ... .max))"
            try withChild("sh", ["-c", "sleep \(mark) & sleep \(mark) & wait"], options: .init(group: .ownSession)) {
                child in
                try #expect(eventuallyOnHub { running(with: mark) == 2 })
                child.sendToGroup(SIGTERM)
                try #expect(child.wait() == .signal(SIGTERM))
                #expect(eventually { running(with: mark) == 0 })
                child.sendToGroup(SIGTERM)
            }
        }
    }

    @Test func `a hundred children run at once`() throws {
        try onHub {
            let exits = try GreenPool(limit: 20).map(0..<100) { number in
                try ChildProcess.run("sh", ["-c", "exit \(number)"]).exit
            }
            #expect(exits == (0..<100).map { .status($0) })
        }
    }

    /// Whether the process runs; a zombie does not.
    private func isRunning(_ pid: pid_t) -> Bool { ProcessStatus(pid) != nil }

    /// The number of processes whose last argument is `mark`.
    private func running(with mark: String) -> Int {
        ProcessStatus.numbers(in: "/proc").count { pid in
            ProcessStatus.contents(of: "/proc/\(pid)/cmdline") == "sleep\0\(mark)\0"
        }
    }

    private func eventuallyOnHub(_ condition: () -> Bool) throws -> Bool {
        let deadline = Deadline.after(.seconds(10))
        while !condition(), !deadline.hasPassed { try Greenlet.sleep(for: .milliseconds(2)) }
        return condition()
    }

    private func text(_ connection: Connection, _ count: Int) throws -> String {
        String(decoding: try connection.receiveAll(upTo: count, until: .after(.seconds(10))), as: UTF8.self)
    }
}
