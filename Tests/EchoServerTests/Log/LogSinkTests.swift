import Glibc
import GreenNet
import Logging
import Synchronization
import TestSupport
import Testing

@testable import EchoServer

@Suite struct LogSinkTests {
    // MARK: A full pipe

    @Test(arguments: [LogFormat.text, .json])
    func `a full pipe never blocks: lines are dropped, and the next line that is written has their number`(
        format: LogFormat
    ) throws {
        let pipe = LogPipe()
        let sink = LogSink(format, descriptor: pipe.writing)
        pipe.fill()
        try withoutWaiting { for number in 0..<1000 { sink.write("lost \(number)") } }
        #expect(sink.droppedLines == 1000)
        #expect(!pipe.takeText().contains("lost"))
        sink.write("found")
        sink.write("next")
        let lines = pipe.takeLines()
        #expect(lines.count == 2)
        #expect(lines[0].contains("found"))
        #expect(lines[0].contains(format == .text ? " dropped_lines=1000" : #","dropped_lines":1000}"#))
        #expect(lines[1].contains("next") && !lines[1].contains("dropped_lines"))
        #expect(sink.droppedLines == 1000)
    }

    @Test func `the descriptor, which others share, stays a blocking one`() throws {
        let pipe = LogPipe()
        let sink = LogSink(.text, descriptor: pipe.writing)
        sink.write("one")
        pipe.fill()
        try withoutWaiting { sink.write("two") }
        #expect(fcntl(pipe.writing, F_GETFL) & O_NONBLOCK == 0)
    }

    @Test func `a descriptor that others have made non-blocking is written to all the same`() throws {
        let pipe = LogPipe()
        _ = fcntl(pipe.writing, F_SETFL, O_NONBLOCK)
        let sink = LogSink(.text, descriptor: pipe.writing)
        sink.write("one")
        #expect(pipe.takeText().hasSuffix("one\n"))
        pipe.fill()
        try withoutWaiting { sink.write("two") }
        #expect(sink.droppedLines == 1)
    }

    @Test func `while a pipe fills and empties, each line is whole, and each is there or counted`() throws {
        let pipe = LogPipe()
        let sink = LogSink(.text, descriptor: pipe.writing)
        let (threads, each) = (4, Sanitizer.scaled(5000, address: 1000, thread: 500))
        let running = Atomic(threads)
        let writers = (0..<threads).map { thread in
            TestThread {
                for number in 0..<each {
                    sink.write(
                        "line", .info,
                        [
                            "thread": .number(thread), "number": .number(number),
                            "pad": .string(String(repeating: "p", count: number % 900)),
                        ])
                }
                running.subtract(1, ordering: .releasing)
            }
        }
        // All the lines would fill the pipe many times.
        #expect(eventually(within: .seconds(10)) { sink.droppedLines > 0 })
        var text = ""
        while running.load(ordering: .acquiring) > 0 {
            text += pipe.takeText()
            poll(nil, 0, 1)
        }
        for writer in writers { try writer.value() }
        text += pipe.takeText()
        sink.write("last")
        text += pipe.takeText()

        let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
        let told = lines.compactMap { $0.last!.hasPrefix("dropped_lines=") ? Int($0.last!.dropFirst(14)) : nil }
        #expect(told.reduce(0, +) == sink.droppedLines)
        #expect(lines.count + sink.droppedLines == threads * each + 1)
        for words in lines.dropLast() {
            let number = try #require(words.first { $0.hasPrefix("number=") }.flatMap { Int($0.dropFirst(7)) })
            let pad = try #require(words.first { $0.hasPrefix("pad=") })
            #expect(number % 900 == 0 ? pad == #"pad="""# : pad.count == 4 + number % 900)
        }
    }

    @Test func `a line of the greatest length goes through a pipe in one piece, and is dropped as one`() throws {
        let pipe = LogPipe()
        let sink = LogSink(.json, descriptor: pipe.writing)
        let message = String(repeating: "m", count: 9000)
        try withoutWaiting { for _ in 0..<100 { sink.write(message) } }
        let lines = pipe.takeLines()
        #expect(lines.count + sink.droppedLines == 100)
        #expect(sink.droppedLines > 0)
        for line in lines { #expect(line.hasPrefix(#"{"ts""#) && line.hasSuffix("…\"}")) }
    }

    // MARK: What else standard error may be

    @Test func `lines for a closed descriptor or a pipe without a reader are counted, and nothing else happens`() throws
    {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        close(ends[0])
        let broken = LogSink(.text, descriptor: ends[1])
        broken.write("lost")
        #expect(broken.droppedLines == 1)
        close(ends[1])
        // As StandardDescriptors.reserve leaves a closed descriptor.
        let null = open("/dev/null", O_RDONLY)
        defer { close(null) }
        for descriptor in [-1, null] {
            let sink = LogSink(.auto, descriptor: descriptor)
            sink.write("lost")
            #expect(sink.droppedLines == 1)
        }
    }

    @Test func `a full disk costs lines and nothing else`() {
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let sink = LogSink(.text, descriptor: full)
        sink.write("lost")
        #expect(sink.droppedLines == 1)
    }

    @Test func `a line is written at the position of a file, and never waits`() throws {
        try withSocketPath { path in
            let file = open(path, O_RDWR | O_CREAT | O_APPEND, 0o600)
            defer { close(file) }
            #expect(write(file, "before\n", 7) == 7)
            let sink = LogSink(.text, descriptor: file)
            sink.write("one")
            sink.write("two")
            lseek(file, 0, SEEK_SET)
            let lines = String(decoding: readAll(file), as: UTF8.self).split(separator: "\n")
            #expect(lines.map { $0.split(separator: " ").last! } == ["before", "one", "two"])
        }
    }

    @Test(arguments: [SOCK_STREAM, SOCK_DGRAM])
    func `a full socket never blocks, and the number of lost lines is logged`(kind: __socket_type) throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(kind.rawValue), 0, &ends) == 0)
        defer { for end in ends { close(end) } }
        let (reading, writing) = (ends[0], ends[1])
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
        let sink = LogSink(.text, descriptor: writing)
        try withoutWaiting { while sink.droppedLines < 3 { sink.write("line") } }
        #expect(readAll(reading).count > 1000)
        sink.write("found")
        #expect(String(decoding: readAll(reading), as: UTF8.self).hasSuffix(" notice found dropped_lines=3\n"))
    }

    @Test func `a terminal without a reader never blocks, and a line that it cut is ended before the next`() throws {
        let terminal = try Terminal()
        let sink = LogSink(.auto, descriptor: terminal.slave)
        try withoutWaiting {
            while sink.droppedLines < 100 { sink.write("line " + String(repeating: "x", count: 700)) }
        }
        var text = ""
        // The terminal passes on its contents in portions.
        while let part = nextPart(of: terminal) { text += part }
        sink.write("found")
        while let part = nextPart(of: terminal) { text += part }
        let lines = text.split(separator: "\r\n").map(String.init)
        #expect(lines.last?.contains(" notice found dropped_lines=") == true)
        // This holds for cut lines too.
        for line in lines { #expect(line.hasPrefix("2026-11-21T") && line.count { $0 == "T" } == 1) }
        // A cut line may have had the number already, and doesn't count.
        let told = lines.compactMap { $0.split(separator: "dropped_lines=").dropFirst().first.flatMap { Int($0) } }
        #expect(told.reduce(0, +) >= sink.droppedLines)
    }

    private func nextPart(of terminal: Terminal) -> String? {
        var part: [UInt8] = []
        _ = eventually(within: .milliseconds(50)) {
            part = readAll(terminal.master)
            return !part.isEmpty
        }
        return part.isEmpty ? nil : String(decoding: part, as: UTF8.self)
    }

    @Test func `a terminal that was stopped by a key never blocks`() throws {
        let terminal = try Terminal()
        let sink = LogSink(.auto, descriptor: terminal.slave)
        try #require(tcflow(terminal.slave, TCOOFF) == 0)
        try withoutWaiting { for _ in 0..<10 { sink.write("lost") } }
        #expect(sink.droppedLines == 10)
        tcflow(terminal.slave, TCOON)
        sink.write("found")
        #expect(nextPart(of: terminal)?.hasSuffix("dropped_lines=10\r\n") == true)
    }

    // MARK: Processes

    @Test func `a forked child counts for itself`() async {
        await #expect(processExitsWith: .success) {
            let count = PerProcess()
            count.add(7)
            let child = fork()
            if child == 0 {
                var isRight = count.value == nil && count.take() == nil
                count.add(1)
                isRight = isRight && count.value == 1
                isRight = isRight && !count.setIfMissing(5) && count.take() == 1 && count.setIfMissing(5)
                _exit(isRight && count.value == 5 ? 0 : 1)
            }
            var status: Int32 = -1
            waitpid(child, &status, 0)
            precondition(status == 0)
            precondition(count.value == 7 && count.take() == 7 && count.take() == nil)
        }
    }
}
