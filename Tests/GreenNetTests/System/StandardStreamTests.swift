import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// On descriptors in the place of 0, 1 and 2: the test program needs those.
struct StandardStreamTests {
    @Test func `input from a pipe parks until something is written, and the end is told`() throws {
        try onHub {
            let (reading, writing) = try ends()
            defer { Glibc.close(reading) }
            let lines = LineReader(StandardStream(reading, .readable, "standard input"))
            let reader = spawn { try [lines.next(), lines.next(), lines.next()] }
            try reader.waitUntilParked()
            Glibc.write(writing, "one\ntw", 6)
            try Greenlet.sleep(for: .milliseconds(1))
            Glibc.write(writing, "o", 1)
            Glibc.close(writing)
            try #expect(reader.value() == ["one", "two", nil])
            #expect(fcntl(reading, F_GETFL) & O_NONBLOCK == 0)
        }
    }

    @Test func `a kill or a deadline leaves the next line to the next call`() throws {
        try onHub {
            let (reading, writing) = try ends()
            defer { for end in [reading, writing] { Glibc.close(end) } }
            let input = StandardStream(reading, .readable, "standard input")
            let lines = LineReader(input)
            Glibc.write(writing, "on", 2)
            let error = #expect(throws: NetError.self) { try lines.next(until: .after(.milliseconds(5))) }
            #expect(error?.description == "cannot read from standard input: deadline passed")
            let reader = spawn { try lines.next() }
            try reader.waitUntilParked()
            reader.kill()
            try reader.join()
            Glibc.write(writing, "e\n", 2)
            try #expect(lines.next() == "one")
        }
    }

    @Test(arguments: [1, 4096, 4097, 1_000_000])
    func `output to a pipe that is full parks, and leaves the pipe blocking`(count: Int) throws {
        try onHub {
            let (reading, writing) = try ends()
            defer { Glibc.close(reading) }
            let output = StandardStream(writing, .writable, "standard output")
            let bytes = pattern(count)
            let writer = spawn {
                for _ in 0..<3 { try output.sendAll(bytes) }
                try output.shutdownSending()
            }
            if count == 1_000_000 {
                try writer.waitUntilParked()
                #expect(fcntl(writing, F_GETFL) & O_NONBLOCK == 0)
            }
            let input = StreamReader(StandardStream(reading, .readable, "standard input"), limit: 3 * count)
            expectSame(try input.rest(), bytes + bytes + bytes)
            try writer.value()
            Glibc.close(writing)
        }
    }

    @Test func `a write that ended early says how many bytes were written`() throws {
        try onHub {
            let (reading, writing) = try ends()
            let output = StandardStream(writing, .writable, "standard output")
            let error = #expect(throws: NetError.self) {
                try output.sendAll(pattern(1_000_000), until: .after(.milliseconds(5)))
            }
            Glibc.close(writing)
            let input = StreamReader(StandardStream(reading, .readable, "standard input"))
            expectSame(try input.rest(), Array(pattern(1_000_000).prefix(error?.sent ?? 0)))
            #expect(error?.sent ?? 0 >= 65_536)
            Glibc.close(reading)
        }
    }

    @Test func `short pieces of several writers come whole`() throws {
        try onHub {
            let (reading, writing) = try ends()
            let writers = (0..<4).map { index in
                spawn {
                    let output = StandardStream(writing, .writable, "standard output")
                    let line = [UInt8](repeating: UInt8(ascii: "a") + UInt8(index), count: 999) + [10]
                    for _ in 0..<200 { try output.sendAll(line) }
                }
            }
            let lines = LineReader(StandardStream(reading, .readable, "standard input"))
            for _ in 0..<800 {
                let line = try lines.nextBytes() ?? []
                #expect(line.count == 999 && Set(line).count == 1)
            }
            for writer in writers { try writer.value() }
            for end in [reading, writing] { Glibc.close(end) }
        }
    }

    @Test func `a socket in its place parks as well, and a reader that has gone is an error`() throws {
        try onHub {
            var ends: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            let (input, output) = (
                StandardStream(ends[0], .readable, "standard input"),
                StandardStream(ends[1], .writable, "standard output")
            )
            let writer = spawn { try output.sendAll(pattern(1_000_000)) }
            try writer.waitUntilParked()
            let reader = StreamReader(input)
            expectSame(try reader.exactly(1_000_000), pattern(1_000_000))
            try writer.value()
            Glibc.close(ends[0])
            let error = #expect(throws: NetError.self) { try output.sendAll("x") }
            #expect(error?.description == "cannot write to standard output: broken pipe (EPIPE)")
            Glibc.close(ends[1])
        }
    }

    @Test func `a file is read to its end, and written`() throws {
        try onHub {
            try withTemporaryPath("file") { path in
                let file = open(path, O_RDWR | O_CREAT, 0o600)
                defer { Glibc.close(file) }
                try StandardStream(file, .writable, "standard output").sendAll(pattern(300_000))
                #expect(lseek(file, 0, SEEK_SET) == 0)
                // Not in the kernel's memory any more, if it follows the advice.
                fsync(file)
                posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
                let input = StreamReader(StandardStream(file, .readable, "standard input"))
                expectSame(try input.rest(), pattern(300_000))
                #expect(fcntl(file, F_GETFL) & O_NONBLOCK == 0)
            }
        }
    }

    @Test func `a device that has always something, or takes always something, lets the others run`() throws {
        try onHub {
            let (zero, null) = (open("/dev/zero", O_RDONLY), open("/dev/null", O_WRONLY))
            defer { for file in [zero, null] { Glibc.close(file) } }
            let reader = spawn {
                let input = StandardStream(zero, .readable, "standard input")
                while true { _ = try input.receive(upTo: 10) }
            }
            let writer = spawn {
                let output = StandardStream(null, .writable, "standard output")
                while true { try output.sendAll("x") }
            }
            try Greenlet.yield()
            for greenlet in [reader as AnyGreenlet, writer] {
                greenlet.kill()
                try greenlet.join()
                #expect(greenlet.state == .killed)
            }
        }
    }

    @Test func `a full disk is an error that says how much was written`() throws {
        try onHub {
            let full = open("/dev/full", O_WRONLY)
            defer { Glibc.close(full) }
            let error = #expect(throws: NetError.self) {
                try StandardStream(full, .writable, "standard error").sendAll("x")
            }
            #expect(error?.description == "cannot write to standard error: no space left on device (ENOSPC)")
            #expect(error?.sent == 0)
        }
    }

    @Test func `the wrong direction, and a descriptor that is not open, are errors`() throws {
        try onHub {
            let failures = [
                #expect(throws: NetError.self) { try StandardStream.input.sendAll("x") },
                #expect(throws: NetError.self) { _ = try StandardStream.output.receive(upTo: 1) },
                #expect(throws: NetError.self) { _ = try StandardStream(999, .readable, "x").receive(upTo: 1) },
                #expect(throws: NetError.self) { try StandardStream(999, .writable, "x").sendAll("x") },
            ]
            for failure in failures { #expect(failure?.errno == SystemError(EBADF)) }
        }
    }

    // MARK: Ending

    @Test func `close wakes the reader, takes the descriptor from the other side, and keeps its number`() throws {
        try onHub {
            let (reading, writing) = try ends()
            defer { for end in [reading, writing] { Glibc.close(end) } }
            let input = StandardStream(reading, .readable, "standard input")
            let reader = spawn { try input.receive(upTo: 1) }
            try reader.waitUntilParked()
            input.close()
            let error = #expect(throws: NetError.self) { _ = try reader.value() }
            #expect(error?.isClosed == true)
            input.close()
            #expect(throws: NetError.self) { _ = try input.receive(upTo: 1) }
            #expect(fcntl(reading, F_GETFD) >= 0)
            var question = pollfd(fd: writing, events: Int16(POLLOUT), revents: 0)
            #expect(poll(&question, 1, 0) == 1 && question.revents & Int16(POLLERR) != 0, "no reader any more")
        }
    }

    @Test func `the end of output reaches its reader, and wakes the writer that waits`() throws {
        try onHub {
            let (reading, writing) = try ends()
            defer { for end in [reading, writing] { Glibc.close(end) } }
            let output = StandardStream(writing, .writable, "standard output")
            let writer = spawn { try output.sendAll(pattern(1_000_000)) }
            try writer.waitUntilParked()
            try output.shutdownSending()
            let error = #expect(throws: NetError.self) { try writer.value() }
            #expect(error?.isClosed == true)
            let sent = error?.sent ?? 0
            let input = StreamReader(StandardStream(reading, .readable, "standard input"))
            expectSame(try input.rest(until: .after(.seconds(10))), Array(pattern(1_000_000).prefix(sent)))
            #expect(throws: NetError.self) { try output.sendAll("x") }
            try output.shutdownSending()
        }
    }

    // MARK: Terminals

    @Test func `a terminal gives line after line, its end, and what comes after`() throws {
        try onHub {
            let terminal = try Terminal()
            defer { terminal.close() }
            let input = StandardStream(terminal.slave, .readable, "standard input")
            #expect(input.isTerminal)
            let reader = spawn { try input.receive(upTo: 100) }
            try reader.waitUntilParked()
            terminal.type("no line y")
            try Greenlet.sleep(for: .milliseconds(2))
            #expect(reader.state == .waiting)
            terminal.type("et\n")
            try #expect(reader.value() == Array("no line yet\n".utf8))
            terminal.type("\u{4}")
            try #expect(input.receive(upTo: 100) == nil)
            terminal.type("more\n")
            try #expect(input.receive(upTo: 100) == Array("more\n".utf8))
            #expect(fcntl(terminal.slave, F_GETFL) & O_NONBLOCK == 0)
        }
    }

    @Test func `a writer to a terminal whose output is held waits, and the others run`() throws {
        try onHub {
            let terminal = try Terminal()
            defer { terminal.close() }
            let output = StandardStream(terminal.slave, .writable, "standard output")
            terminal.type("\u{13}")
            try Greenlet.sleep(for: .milliseconds(2))
            let writer = spawn { try output.sendAll(String(repeating: "x", count: 100_000)) }
            try writer.waitUntilParked()
            let late = #expect(throws: NetError.self) {
                try StandardStream(terminal.slave, .writable, "standard output").sendAll(
                    "y", until: .after(.milliseconds(5)))
            }
            #expect(late?.isTimeout == true)
            terminal.type("\u{11}")
            let shown = StreamReader(StandardStream(terminal.master, .readable, "the terminal"))
            try #expect(
                shown.exactly(100_000, until: .after(.seconds(20))).filter { $0 == UInt8(ascii: "x") }.count > 99_000)
            writer.kill()
            try writer.join()
            #expect(fcntl(terminal.slave, F_GETFL) & O_NONBLOCK == 0)
        }
    }
}

private func ends() throws -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    return (ends[0], ends[1])
}

/// A terminal of its own, and the side that types and sees.
private struct Terminal {
    let master: Int32
    let slave: Int32

    init() throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // TIOCSPTLCK and TIOCGPTN of linux/tty.h: unlockpt(3) and ptsname(3) are not in Swift's view of glibc.
        var (isLocked, number): (Int32, Int32) = (0, 0)
        try #require(ioctl(master, 0x4004_5431, &isLocked) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
        slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(slave >= 0)
    }

    func type(_ text: String) { Glibc.write(master, text, text.utf8.count) }

    func close() { for end in [master, slave] { Glibc.close(end) } }
}
