import Glibc
import GreenNet
import Logging
import TestSupport
import Testing

@testable import EchoServer

/// A pipe in place of standard error.  It blocks its writer, as pipes do.
final class LogPipe: Sendable {
    let reading: Int32
    let writing: Int32

    init() {
        // The server does this first of all.
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0)
        (reading, writing) = (ends[0], ends[1])
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    }

    deinit { for end in [reading, writing] { close(end) } }

    /// All bytes that are in the pipe now.
    func take() -> [UInt8] { readAll(reading) }
    func takeText() -> String { String(decoding: take(), as: UTF8.self) }
    func takeLines() -> [String] { takeText().split(separator: "\n").map(String.init) }

    /// Writes until the pipe is full.  Returns the number of bytes.
    @discardableResult
    func fill() -> Int {
        let flags = fcntl(writing, F_GETFL)
        _ = fcntl(writing, F_SETFL, flags | O_NONBLOCK)
        defer { _ = fcntl(writing, F_SETFL, flags) }
        return fillUp(writing)
    }
}

/// Reads all bytes from a non-blocking descriptor.
func readAll(_ descriptor: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
    }
}

/// Fills a non-blocking descriptor to the last byte.
@discardableResult
func fillUp(_ descriptor: Int32) -> Int {
    let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
    var (total, size) = (0, bytes.count)
    while size > 0 {
        let count = write(descriptor, bytes, size)
        if count > 0 { total += count } else { size /= 2 }
    }
    return total
}

extension LogSink {
    func write(_ message: String, _ level: Logger.Level = .notice, _ fields: Logger.Metadata = [:]) {
        write(LogEntry(time: someTime, level: level, message: message, fields: fields))
    }
}

/// 2026-11-21T03:28:47.123Z
let someTime = timespec(tv_sec: 1_795_231_727, tv_nsec: 123_456_789)

func entry(_ message: String, _ level: Logger.Level = .notice, _ fields: Logger.Metadata = [:]) -> LogEntry {
    LogEntry(time: someTime, level: level, message: message, fields: fields)
}

/// Runs `body` on an OS thread of its own, and fails if it does not return in time: a log that waits is a hang.
func withoutWaiting<R: Sendable>(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable () throws -> R
) throws -> R {
    try onOSThread(.seconds(5), sourceLocation: sourceLocation, body)
}

/// Gives `body` a path in a directory of its own, which is removed afterwards with its contents.
func withSocketPath<R>(_ body: (String) throws -> R) throws -> R {
    var template = Array("/tmp/echo-server-log-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer {
        unlink("\(directory)/socket")
        rmdir(directory)
    }
    return try body("\(directory)/socket")
}

/// A terminal: the slave is for the program that runs in it, the master is the other end.
final class Terminal: Sendable {
    let master: Int32
    let slave: Int32

    init() throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK)
        // Swift's view of glibc leaves out posix_openpt and what goes with it.
        let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)  // TIOCSPTLCK, TIOCGPTN
        var (lock, number): (Int32, Int32) = (0, -1)
        try #require(ioctl(master, setLock, &lock) == 0 && ioctl(master, getNumber, &number) == 0)
        slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
        try #require(slave >= 0)
    }

    deinit { for end in [master, slave] { close(end) } }
}
