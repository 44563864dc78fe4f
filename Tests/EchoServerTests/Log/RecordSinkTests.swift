import Glibc
import GreenNet
import TestSupport
import Testing

@testable import EchoServer

@Suite struct RecordSinkTests {
    private typealias Outcome = RecordSink.Outcome

    private func text(_ path: String) -> String { ProcessStatus.contents(of: path) ?? "" }

    /// Gives `body` a sink and its file.
    private func withSink(_ body: (RecordSink, String) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/records"
            try body(RecordSink(.file(path)), path)
        }
    }

    @Test func `records are gathered until they are flushed, and lie in their order`() throws {
        try withSink { sink, path in
            let first = sink.gather(.example(1))
            #expect(first.mustFlush && first.outcome == Outcome())
            for number in 2...20 { #expect(!sink.gather(.example(number)).mustFlush) }
            #expect(text(path).isEmpty)
            #expect(sink.flush() == Outcome(written: 20))
            #expect(ports(text(path)) == Array(1...20))
            // The next one waits anew.
            #expect(sink.gather(.example(21)).mustFlush)
            #expect(sink.write(.example(22)) == Outcome(written: 2))
            #expect(ports(text(path)) == Array(1...22))
            // That of the caller is still to come.
            #expect(!sink.gather(.example(23)).mustFlush)
        }
    }

    @Test func `as soon as there are enough, they are written without a flush`() throws {
        try withSink { sink, path in
            var (count, outcome) = (0, Outcome())
            while outcome == Outcome() {
                count += 1
                outcome = sink.gather(.example(count)).outcome
                try #require(count < 1000)
            }
            #expect(outcome == Outcome(written: count))
            #expect(ports(text(path)) == Array(1...count))
            #expect(text(path).utf8.count < RecordLines.enough + 1000)
        }
    }

    @Test func `a sink that gathers no more writes what it has, and then each record at once`() throws {
        try withSink { sink, path in
            _ = sink.gather(.example(1))
            sink.stopGathering()
            #expect(ports(text(path)) == [1])
            let next = sink.gather(.example(2))
            #expect(next.outcome == Outcome(written: 2) && !next.mustFlush)
            #expect(ports(text(path)) == [1, 2])
        }
    }

    @Test func `a sink that goes has written what was gathered`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/records"
            do {
                let sink = try RecordSink(.file(path))
                _ = sink.gather(.example(1))
            }
            #expect(ports(text(path)) == [1])
        }
    }

    @Test func `a renamed file gets what was gathered, and no more records once the sink opens it again`() throws {
        try withSink { sink, path in
            _ = sink.gather(.example(1))
            #expect(rename(path, path + ".1") == 0)
            _ = sink.gather(.example(2))
            sink.reopen()
            #expect(sink.gather(.example(3)).outcome == Outcome(written: 2))
            #expect(sink.flush() == Outcome(written: 1))
            #expect(ports(text(path + ".1")) == [1, 2] && ports(text(path)) == [3])
        }
    }

    @Test func `a file that was renamed is not held open for want of a record`() throws {
        try withSink { sink, path in
            #expect(rename(path, path + ".1") == 0)
            sink.reopen()
            #expect(access(path, F_OK) == 0)
        }
    }

    @Test func `a file that cannot be opened again is written to as before, until it can`() throws {
        try withTemporaryDirectory { directory in
            let logs = "\(directory)/logs"
            mkdir(logs, 0o700)
            let sink = try RecordSink(.file("\(logs)/records"))
            rename(logs, "\(directory)/old")
            sink.reopen()
            #expect(sink.write(.example(1)) == Outcome(written: 1))
            mkdir(logs, 0o700)
            #expect(sink.write(.example(2)) == Outcome(written: 1))
            #expect(ports(text("\(directory)/old/records")) == [1] && ports(text("\(logs)/records")) == [2])
        }
    }

    @Test func `a pipe that is full takes whole records only, and the others are counted as dropped`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/pipe"
            #expect(mkfifo(path, 0o600) == 0)
            let sink = try RecordSink(.file(path))
            var outcome = Outcome()
            for number in 1...1000 {
                let part = sink.gather(.example(number)).outcome
                outcome.written += part.written
                outcome.dropped += part.dropped
            }
            let last = sink.flush()
            #expect(outcome.written + outcome.dropped + last.written + last.dropped == 1000)
            #expect(outcome.written > 100 && outcome.dropped > 100)
            // A reader that comes finds no line that was cut.
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            let count = read(reader, &bytes, bytes.count)
            let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
            #expect(lines.count == outcome.written + last.written)
            #expect(lines.allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })
        }
    }

    @Test
    func `a record for a socket is a datagram of its own and is sent at once, and is dropped where nothing reads`()
        throws
    {
        try withTemporaryDirectory { directory in
            try onHub {
                let path = "\(directory)/collector"
                let sink = try RecordSink(.socket(path: path))
                #expect(sink.gather(.example(1)).outcome == Outcome(dropped: 1))
                let reader = try Datagram(bind: .unix(path: path))
                for number in 2...4 {
                    let (outcome, mustFlush) = sink.gather(.example(number))
                    #expect(outcome == Outcome(written: 1) && !mustFlush)
                }
                for number in 2...4 {
                    let datagram = try reader.receive(upTo: 1000)
                    #expect(ports(String(decoding: datagram.bytes, as: UTF8.self)) == [number])
                }
                reader.close()
                #expect(sink.gather(.example(5)).outcome == Outcome(dropped: 1))
            }
        }
    }
}
