import TestSupport
import Testing

@testable import GreenNet

struct StreamReaderTests {
    @Test func `pieces end where the program says, wherever the stream is cut`() throws {
        try onEverySeed(200) { seed in
            var random = SplitMix(seed: seed)
            let stream = PieceStream(Array("head\r\n\r\nbody and the rest".utf8).cut(&random, longest: 9))
            let reader = StreamReader(stream)
            try #expect(reader.until(Array("\r\n\r\n".utf8)) == Array("head".utf8))
            try #expect(reader.peek(2) == Array("bo".utf8))
            try #expect(reader.exactly(4) == Array("body".utf8))
            try #expect(reader.receive(upTo: 1) == [UInt8(ascii: " ")])
            try #expect(reader.rest() == Array("and the rest".utf8))
            try #expect(reader.rest() == [])
            try #expect(reader.receive(upTo: 1) == nil)
            try #expect(reader.hasMore() == false)
        }
    }

    @Test func `a delimiter is found when its bytes come one by one, and not in what only resembles it`() throws {
        try onVirtualHub {
            let reader = StreamReader(PieceStream(Array("aaab|aab|aaaab".utf8).single))
            try #expect(reader.until(Array("aab".utf8)) == Array("a".utf8))
            try #expect(reader.until(Array("aab".utf8)) == Array("|".utf8))
            try #expect(reader.until(Array("b".utf8)) == Array("|aaaa".utf8))
        }
    }

    @Test func `a kill or a deadline at any moment loses nothing`() throws {
        try onEverySeed(300) { seed in
            var random = SplitMix(seed: seed)
            let numbers = (0..<40).map { _ in Int.random(in: 0...300, using: &random) }
            let bytes = numbers.flatMap { pattern($0, seed: $0).filter { $0 != 10 } + [10] + pattern(7, seed: $0) }
            let stream = PieceStream()
            let reader = StreamReader(stream)
            var (index, hasHead) = (0, false)
            try disturbed(stream, bytes.cut(&random, longest: 100), seed: seed) { deadline in
                if index == numbers.count { return try !reader.hasMore(until: deadline) }
                if !hasHead {
                    let wanted = pattern(numbers[index], seed: numbers[index]).filter { $0 != 10 }
                    try #expect(reader.until([10], until: deadline) == wanted)
                    hasHead = true
                }
                try #expect(reader.exactly(7, until: deadline) == pattern(7, seed: numbers[index]))
                (index, hasHead) = (index + 1, false)
                return false
            }
            #expect(index == numbers.count)
        }
    }

    // MARK: Limits

    @Test func `a piece of as many bytes as the limit is returned, and one of a byte more is refused and stays`() throws
    {
        try onVirtualHub {
            let reader = StreamReader(PieceStream([Array("12345|123456|rest".utf8)]), limit: 5)
            try #expect(reader.until([UInt8(ascii: "|")]) == Array("12345".utf8))
            #expect(throws: ReadError.tooLong(limit: 5)) { try reader.until([UInt8(ascii: "|")]) }
            #expect(throws: ReadError.tooLong(limit: 5)) { try reader.exactly(6) }
            #expect(throws: ReadError.tooLong(limit: 5)) { try reader.peek(6) }
            #expect(throws: ReadError.tooLong(limit: 5)) { try reader.rest() }
            try #expect(reader.until([UInt8(ascii: "|")], limit: 6) == Array("123456".utf8))
            try #expect(reader.exactly(4) == Array("rest".utf8))
            try #expect(reader.exactly(0, limit: 0) == [])
            try #expect(reader.rest(limit: 0) == [])
        }
    }

    @Test func `a piece is refused as soon as the limit is passed, without waiting for its end`() throws {
        try onVirtualHub {
            let stream = PieceStream()
            let reader = StreamReader(stream, limit: 1)
            // The second byte may be the first of the delimiter, as far as the limit is concerned.
            stream.put("abc")
            for _ in 0..<2 {
                #expect(throws: ReadError.tooLong(limit: 1)) { try reader.until(Array("\r\n".utf8), until: .now) }
            }
            #expect(reader.buffered == Array("abc".utf8))
            try #expect(reader.until(Array("b".utf8), limit: .max) == Array("a".utf8))
        }
    }

    @Test func `memory follows the bytes that come, not the number that was asked for`() throws {
        try onVirtualHub {
            let stream = PieceStream([pattern(100)])
            let reader = StreamReader(stream, limit: .max)
            #expect(throws: ReadError.endOfStream(received: 100, wanted: .max)) { try reader.exactly(.max) }
            #expect(stream.mostRoom < 1 << 20)
            expectSame(reader.takeBuffered(), pattern(100))
            #expect(reader.bufferedCount == 0)
        }
    }

    @Test func `a long piece takes few calls, and comes whole`() throws {
        try onVirtualHub {
            let bytes = pattern(3_000_000)
            let stream = PieceStream([bytes])
            expectSame(try StreamReader(stream, limit: bytes.count).exactly(bytes.count), bytes)
            #expect(stream.receives <= 20)
        }
    }

    @Test func `a stream that ends too soon says after how many bytes`() throws {
        try onVirtualHub {
            let reader = StreamReader(PieceStream([[1, 2, 3]]))
            #expect(throws: ReadError.endOfStream(received: 3, wanted: 8)) { try reader.exactly(8) }
            #expect(throws: ReadError.endOfStream(received: 3, wanted: nil)) { try reader.until([0]) }
            #expect("\(ReadError.endOfStream(received: 3, wanted: 8))" == "the stream ended after 3 of 8 bytes")
            try #expect(reader.peek(8) == [1, 2, 3])
            try #expect(reader.rest() == [1, 2, 3])
            #expect(throws: ReadError.endOfStream(received: 0, wanted: nil)) { try reader.until([0]) }
        }
    }

    // MARK: On connections

    @Test(arguments: [0, 1, 5, 100, 65_536, 1_000_000])
    func `over a connection, the same`(count: Int) throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            defer { connection.close() }
            let bytes = pattern(count)
            let reader = StreamReader(connection)
            let writer = spawn {
                try peer.writeAll(Array("\(count)\n".utf8) + bytes + [1, 2, 3])
                peer.finish()
            }
            let head = try reader.until([10], until: .after(.seconds(10)))
            #expect(head == Array("\(count)".utf8))
            expectSame(try reader.exactly(count, until: .after(.seconds(10))), bytes)
            try #expect(reader.rest(until: .after(.seconds(10))) == [1, 2, 3])
            try writer.value()
        }
    }

    @Test func `a reader that finds all in its memory lets the others run, and sees that it was killed`() throws {
        try onHub {
            let stream = PieceStream([[UInt8](repeating: 10, count: 100_000)])
            let reader = StreamReader(stream)
            var read = 0
            let greenlet = spawn { while true { read += try reader.until([10]).count + 1 } }
            try Greenlet.yield()
            #expect(read == 16)
            greenlet.kill()
            try greenlet.join()
            #expect(greenlet.state == .killed)
            #expect(read + reader.bufferedCount <= 100_000 && read < 1000)
        }
    }
}
