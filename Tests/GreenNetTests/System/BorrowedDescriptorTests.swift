import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct BorrowedDescriptorTests {
    @Test func `a read parks until something is written, and leaves the pipe blocking and open`() throws {
        try onHub {
            let pipe = Pipe()
            defer { pipe.close() }
            let reader = spawn { try pipe.read(upTo: 16) }
            try Greenlet.yield()
            #expect(reader.state == .waiting)
            try pipe.writing.writeAll("hello")
            #expect(try reader.value() == "hello")
            #expect(fcntl(pipe.reading.number, F_GETFL) & O_NONBLOCK == 0)
        }
    }

    @Test func `the end of a pipe is read as nothing`() throws {
        try onHub {
            let pipe = Pipe()
            defer { Glibc.close(pipe.reading.number) }
            let reader = spawn { try pipe.read(upTo: 16) }
            try Greenlet.yield()
            Glibc.close(pipe.writing.number)
            #expect(try reader.value() == "")
        }
    }

    @Test func `a wait ends at its deadline, and when its green thread is killed`() throws {
        try onHub {
            let pipe = Pipe()
            defer { pipe.close() }
            let error = #expect(throws: NetError.self) {
                try pipe.reading.waitUntilReadable(until: .after(.milliseconds(5)))
            }
            #expect(error?.waitError == .deadlinePassed)
            let reader = spawn { try pipe.reading.waitUntilReadable() }
            try Greenlet.yield()
            reader.kill()
            try reader.join()
            #expect(reader.state == .killed)
        }
    }

    @Test func `two green threads may wait for one descriptor`() throws {
        try onHub {
            let pipe = Pipe()
            defer { pipe.close() }
            let readers = (1...2).map { _ in spawn { try pipe.reading.waitUntilReadable() } }
            try Greenlet.yield()
            try pipe.writing.writeAll("x")
            for reader in readers { try reader.value() }
        }
    }

    @Test func `a descriptor is waited for again and again`() throws {
        try onHub {
            let pipe = Pipe()
            defer { pipe.close() }
            let reader = spawn {
                var text = ""
                while text.utf8.count < 300 { text += try pipe.read(upTo: 1) }
            }
            for _ in 0..<100 {
                try pipe.writing.writeAll("abc")
                try Greenlet.sleep(for: .microseconds(10))
            }
            try reader.value()
        }
    }

    @Test(arguments: ["/dev/null", "/proc/self/stat", "/tmp"])
    func `a file that epoll refuses is always ready`(path: String) throws {
        try onHub {
            let file = BorrowedDescriptor(open(path, O_RDONLY))
            defer { Glibc.close(file.number) }
            try file.waitUntilReadable(until: .now)
            try file.waitUntilWritable(until: .now)
        }
    }

    @Test func `a killed green thread stops at a file that is always ready`() throws {
        try onHub {
            let file = BorrowedDescriptor(open("/dev/zero", O_RDONLY))
            defer { Glibc.close(file.number) }
            let reader = spawn { while true { try file.waitUntilReadable() } }
            try Greenlet.yield()
            reader.kill()
            try reader.join()
            #expect(reader.state == .killed)
        }
    }

    @Test func `a descriptor that is not open is an error`() throws {
        try onHub {
            let pipe = Pipe()
            pipe.close()
            let failures = [
                #expect(throws: NetError.self) { try pipe.reading.waitUntilReadable() },
                #expect(throws: NetError.self) { try pipe.writing.waitUntilWritable() },
                #expect(throws: NetError.self) { try pipe.writing.writeAll("x") },
                #expect(throws: NetError.self) { try pipe.writing.checkWritten() },
            ]
            for failure in failures { #expect(failure?.errno == SystemError(EBADF)) }
        }
    }

    @Test func `a write to a full pipe that others have made non-blocking waits for its reader`() throws {
        try onHub {
            let pipe = Pipe()
            defer { pipe.close() }
            _ = fcntl(pipe.writing.number, F_SETFL, O_NONBLOCK)
            let text = String(repeating: "0123456789abcdef", count: 64 << 10)
            let writer = spawn { try pipe.writing.writeAll(text) }
            try Greenlet.yield()
            #expect(writer.state == .waiting)
            var count = 0
            while count < text.utf8.count { count += try pipe.read(upTo: 64 << 10).utf8.count }
            try writer.value()
        }
    }

    @Test func `a full disk is reported`() throws {
        try onHub {
            let disk = BorrowedDescriptor(open("/dev/full", O_WRONLY))
            defer { Glibc.close(disk.number) }
            let failure = #expect(throws: NetError.self) { try disk.writeAll("x") }
            #expect(failure?.errno == SystemError(ENOSPC))
            #expect(failure?.description == "cannot write: no space left on device (ENOSPC)")
        }
    }
}

private struct Pipe {
    let reading: BorrowedDescriptor
    let writing: BorrowedDescriptor

    init() {
        var ends: [Int32] = [-1, -1]
        let result = pipe(&ends)
        precondition(result == 0, "no pipe: \(errno)")
        (reading, writing) = (BorrowedDescriptor(ends[0]), BorrowedDescriptor(ends[1]))
    }

    func close() {
        Glibc.close(reading.number)
        Glibc.close(writing.number)
    }

    func read(upTo limit: Int) throws -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
        defer { buffer.deallocate() }
        let count = try reading.read(into: buffer)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}

extension BorrowedDescriptor {
    fileprivate func writeAll(_ text: String) throws {
        var text = text
        try text.withUTF8 { bytes in try writeAll(UnsafeRawBufferPointer(bytes)) }
    }
}
