import TestSupport
import Testing

@testable import GreenNet

struct LineReaderTests {
    private func lines(_ pieces: [[UInt8]], longest: Int = 65_536) throws -> [String] {
        let reader = LineReader(PieceStream(pieces), longest: longest)
        var lines: [String] = []
        while true {
            do {
                guard let line = try reader.next() else { return lines }
                lines.append(line)
            } catch let error as LineTooLong {
                #expect(error.limit == longest)
                lines.append("?")
            }
        }
    }

    @Test func `lines end with a line feed, with a carriage return in front or not, and the last one with the stream`()
        throws
    {
        try onVirtualHub {
            let bytes = Array("one\r\n\n\r\ntwo\rthree\nfour\r".utf8)
            let expected = ["one", "", "", "two\rthree", "four\r"]
            try #expect(lines([bytes]) == expected)
            try #expect(lines(bytes.single) == expected)
            try #expect(lines([]) == [])
            try #expect(lines([[10]]) == [""])
        }
    }

    @Test func `bytes that are no text are repaired in a text, and are as they were among the bytes`() throws {
        try onVirtualHub {
            let bytes: [UInt8] = [0x61, 0xff, 0x00, 0x62, 10]
            try #expect(lines([bytes]) == ["a\u{fffd}\0b"])
            try #expect(LineReader(PieceStream([bytes])).nextBytes() == [0x61, 0xff, 0x00, 0x62])
        }
    }

    @Test(arguments: [1, 2, 7, 65_536])
    func `a line of the longest length is returned, and one of a byte more is skipped`(longest: Int) throws {
        try onVirtualHub {
            let fits = String(repeating: "x", count: longest)
            for end in ["\n", "\r\n"] {
                let text = Array("\(fits)\(end)\(fits)y\(end)\(end)\(fits)yyy\(end)\(fits)".utf8)
                let expected = [fits, "?", "", "?", fits]
                try #expect(lines([text], longest: longest) == expected)
                if longest < 100 { try #expect(lines(text.single, longest: longest) == expected) }
                // At the end of the stream, the return is a byte of its line.
                try #expect(lines([Array("\(fits)\r".utf8)], longest: longest) == ["?"])
            }
        }
    }

    @Test func `a line that never ends takes little memory, and is refused once`() throws {
        try onVirtualHub {
            let stream = PieceStream()
            let lines = LineReader(stream, longest: 100)
            for _ in 0..<1000 { stream.put(pattern(1000).filter { $0 != 10 }) }
            stream.put("\nnext\n")
            #expect(throws: LineTooLong.self) { try lines.next() }
            #expect(lines.reader.bufferedCount == 0)
            try #expect(lines.next() == "next")
            stream.end()
            try #expect(lines.next() == nil)
        }
    }

    @Test func `a kill or a deadline at any moment loses no line, and no part of one`() throws {
        try onEverySeed(300) { seed in
            var random = SplitMix(seed: seed)
            let expected = (0..<60).map {
                "\($0) " + String(repeating: "z", count: .random(in: 0...90, using: &random))
            }
            let bytes = Array((expected.map { $0 + (Bool.random(using: &random) ? "\n" : "\r\n") }.joined()).utf8)
            let stream = PieceStream()
            let reader = LineReader(stream, longest: 60)
            var lines: [String] = []
            try disturbed(stream, bytes.cut(&random, longest: 70), seed: seed) { deadline in
                do {
                    guard let line = try reader.next(until: deadline) else { return true }
                    lines.append(line)
                } catch is LineTooLong {
                    lines.append("?")
                }
                return false
            }
            #expect(lines == expected.map { $0.utf8.count > 60 ? "?" : $0 })
        }
    }

    @Test func `what follows the lines is read from the same reader`() throws {
        try onVirtualHub {
            let reader = StreamReader(PieceStream([Array("length 3\nabc\nlast".utf8)]))
            let lines = LineReader(reader)
            try #expect(lines.next() == "length 3")
            try #expect(reader.exactly(4) == Array("abc\n".utf8))
            try #expect(lines.next() == "last")
        }
    }

    @Test func `a line is found in time that grows with its length only`() throws {
        try onVirtualHub {
            // Byte by byte, with a look at all that came before for each byte, this would take minutes.
            let line = [UInt8](repeating: 0x78, count: 300_000)
            let reader = LineReader(PieceStream((line + [10]).single), longest: line.count)
            try #expect(reader.nextBytes()?.count == line.count)
        }
    }
}
