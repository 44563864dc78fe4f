import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Each way to keep a write to standard error from waiting: the kernel decides which of them is needed.
@Suite struct LogOutputTests {
    private func write(_ count: Int, to output: LossyOutput) throws -> Int {
        try withoutWaiting {
            [UInt8](repeating: UInt8(ascii: "y"), count: count).withUnsafeBytes { output.write($0) }
        }
    }

    @Test(arguments: [LossyOutput.Way.now, .openedAgain, .ifReady])
    func `a pipe takes all while there is room, and nothing when it is full`(way: LossyOutput.Way) throws {
        let pipe = LogPipe()
        let output = LossyOutput(pipe.writing, way)
        for count in [1, 4096] { #expect(try write(count, to: output) == count) }
        #expect(pipe.take().count == 4097)
        pipe.fill()
        for count in [1, 4096] { #expect(try write(count, to: output) == 0) }
        #expect(fcntl(pipe.writing, F_GETFL) & O_NONBLOCK == 0)
    }

    @Test(arguments: [LossyOutput.Way.now, .openedAgain, .ifReady])
    func `a pipe with room for half a line takes none of it`(way: LossyOutput.Way) throws {
        let pipe = LogPipe()
        pipe.fill()
        var page = [UInt8](repeating: 0, count: 4096)
        #expect(read(pipe.reading, &page, page.count) == page.count)
        let output = LossyOutput(pipe.writing, way)
        #expect(try write(3000, to: output) == 3000)
        #expect(try write(3000, to: output) == 0)
    }

    @Test(arguments: [LossyOutput.Way.file, .socket, .now, .openedAgain, .ifReady])
    func `a descriptor that is closed or was opened for reading takes nothing`(way: LossyOutput.Way) throws {
        let null = open("/dev/null", O_RDONLY)
        defer { close(null) }
        for descriptor in [-1, null] where way != .openedAgain || descriptor < 0 {
            #expect(try write(10, to: LossyOutput(descriptor, way)) == 0)
        }
    }

    @Test(arguments: [LossyOutput.Way.now, .openedAgain])
    func `a terminal takes what it has room for`(way: LossyOutput.Way) throws {
        let terminal = try Terminal()
        let output = LossyOutput(terminal.slave, way)
        var written = 0
        for _ in 0..<100 { written += try write(1500, to: output) }
        #expect(written > 0 && written < 150_000)
        #expect(fcntl(terminal.slave, F_GETFL) & O_NONBLOCK == 0)
    }
}
