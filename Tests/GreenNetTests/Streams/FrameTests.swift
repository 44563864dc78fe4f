import TestSupport
import Testing

@testable import GreenNet

struct FrameTests {
    @Test func `frames come as they were written, wherever the stream is cut`() throws {
        try onEverySeed(200) { seed in
            var random = SplitMix(seed: seed)
            let frames = (0..<20).map { _ in pattern(.random(in: 0...300, using: &random), seed: Int(seed)) }
            let stream = PieceStream()
            let writer = FrameWriter(stream)
            for frame in frames { try writer.write(frame) }
            #expect(stream.sent.map { Array($0[4...]) } == frames, "each in one call")
            let reader = FrameReader(PieceStream(Array(stream.sent.joined()).cut(&random, longest: 50)))
            for frame in frames { try #expect(reader.next() == frame) }
            try #expect(reader.next() == nil)
        }
    }

    @Test func `the length is four bytes, the highest first`() throws {
        try onVirtualHub {
            let stream = PieceStream()
            try FrameWriter(stream).write(pattern(0x1_02_03))
            #expect(Array(stream.sent.joined().prefix(4)) == [0, 1, 2, 3])
        }
    }

    @Test(arguments: [0, 1, 1000])
    func `a frame of the longest length passes, and one of a byte more is refused on both sides`(longest: Int) throws {
        try onVirtualHub {
            let stream = PieceStream()
            let writer = FrameWriter(stream, longest: longest)
            try writer.write(pattern(longest))
            let refusal = FrameTooLong(count: longest + 1, limit: longest)
            #expect(throws: refusal) { try writer.write(pattern(longest + 1)) }
            #expect(stream.sent.count == 1, "nothing of it was written")
            try writer.write([])

            let long = Frame.header(of: longest + 1) + pattern(longest + 1)
            let bytes = long + Array(stream.sent.joined()) + long + long
            for pieces in [[bytes], bytes.single] {
                let reader = FrameReader(PieceStream(pieces), longest: longest)
                #expect(throws: refusal) { try reader.next() }
                try #expect(reader.next() == pattern(longest))
                try #expect(reader.next() == [])
                #expect(throws: refusal) { try reader.next() }
                #expect(throws: refusal) { try reader.next() }
                try #expect(reader.next() == nil)
            }
        }
    }

    @Test func `the longest of all lengths is refused without memory for it, and skipped`() throws {
        try onVirtualHub {
            let stream = PieceStream([[255, 255, 255, 255], pattern(100)])
            let reader = FrameReader(stream, longest: Int(UInt32.max) - 1)
            #expect(throws: FrameTooLong.self) { try reader.next() }
            #expect(throws: ReadError.endOfStream(received: 0, wanted: Int(UInt32.max) - 100)) { try reader.next() }
            let other = FrameReader(PieceStream([[255, 255, 255, 255], pattern(100)]), longest: Int(UInt32.max))
            #expect(throws: ReadError.endOfStream(received: 104, wanted: Int(UInt32.max) + 4)) { try other.next() }
            #expect(stream.mostRoom < 1 << 20)
        }
    }

    @Test func `a stream that ends inside a frame is an error, and one that ends between two is not`() throws {
        try onVirtualHub {
            for count in 1..<7 {
                let reader = FrameReader(PieceStream([Array([0, 0, 0, 3, 1, 2, 3].prefix(count))]))
                #expect(throws: ReadError.endOfStream(received: count, wanted: count < 4 ? 4 : 7)) { try reader.next() }
            }
        }
    }

    @Test func `a kill or a deadline at any moment loses no frame`() throws {
        try onEverySeed(300) { seed in
            var random = SplitMix(seed: seed)
            let frames = (0..<40).map { pattern(.random(in: 0...90, using: &random), seed: $0) }
            let bytes = frames.flatMap { Frame.header(of: $0.count) + $0 }
            let stream = PieceStream()
            let reader = FrameReader(stream, longest: 60)
            var read: [[UInt8]] = []
            try disturbed(stream, bytes.cut(&random, longest: 70), seed: seed) { deadline in
                do {
                    guard let frame = try reader.next(until: deadline) else { return true }
                    read.append(frame)
                } catch is FrameTooLong {
                    read.append([0])
                }
                return false
            }
            #expect(read == frames.map { $0.count > 60 ? [0] : $0 })
        }
    }

    @Test func `a frame that was cut off by a deadline leaves no stream for another one`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            defer { connection.close() }
            let writer = FrameWriter(connection, longest: 10_000_000)
            let error = #expect(throws: NetError.self) {
                try writer.write(pattern(9_000_000), until: .after(.milliseconds(20)))
            }
            #expect(error?.isTimeout == true)
            #expect((1..<9_000_000).contains(error?.sent ?? 0))
            #expect(throws: FrameInterrupted.self) { try writer.write([1]) }
            peer.close()
        }
    }

    @Test func `a writer that was killed before the first byte goes on`() throws {
        try onHub {
            let (connection, peer) = try narrowPair()
            defer { connection.close() }
            let filled = connection.fill()
            let writer = FrameWriter(connection)
            let error = #expect(throws: NetError.self) { try writer.write([1], until: .after(.milliseconds(5))) }
            #expect(error?.sent == 0)
            let other = spawn { try writer.write([2]) }
            try expectSame(peer.read(exactly: filled + 5).suffix(5), [0, 0, 0, 1, 2])
            try other.value()
        }
    }
}

private func expectSame(_ bytes: ArraySlice<UInt8>, _ wanted: [UInt8]) { #expect(Array(bytes) == wanted) }
