import Glibc
import GreenNet
import Testing

@testable import EchoServer

/// What is handed to a descriptor that takes all, a part, or nothing.
@Suite struct RecordLinesTests {
    private let lines = RecordLines()

    private func append(_ count: Int) { for _ in 0..<count { lines.append(.example(lines.count + 1)) } }

    /// Returns the pieces, of each as much as was taken, and how many lines were.
    private func take(upTo most: Int = .max, _ room: (Int) -> Int = { $0 }) -> (pieces: [String], lines: Int) {
        var pieces: [String] = []
        let count = lines.take(upTo: most) { bytes in
            let taken = room(bytes.count)
            pieces.append(String(decoding: bytes.prefix(taken), as: UTF8.self))
            return taken
        }
        return (pieces, count)
    }

    @Test func `all lines go in one piece and in their order, and then there are none`() {
        append(30)
        let (pieces, count) = take()
        #expect(count == 30 && pieces.count == 1)
        #expect(ports(pieces[0]) == Array(1...30))
        #expect(lines.count == 0 && take().pieces.isEmpty)
    }

    @Test func `a pipe gets whole lines, no more at a time than it takes in one piece`() {
        append(60)
        let (pieces, count) = take(upTo: 4096)
        #expect(count == 60 && pieces.count > 2)
        #expect(pieces.allSatisfy { $0.utf8.count < 4096 && $0.hasSuffix("}\n") })
        #expect(ports(pieces.joined()) == Array(1...60))
        append(2)
        // Neither of them fits.
        #expect(take(upTo: 10).pieces.count == 2)
    }

    @Test func `after a part of a line, the next begins with an end of line, once`() {
        append(2)
        let first = take { $0 - 5 }
        #expect(first.lines == 1 && !first.pieces[0].hasSuffix("\n"))
        append(1)
        #expect(take { _ in 0 }.lines == 0)
        append(1)
        let third = take()
        #expect(third.lines == 1 && third.pieces[0].hasPrefix("\n{"))
        append(1)
        #expect(take().pieces[0].hasPrefix("{"))
    }

    @Test func `another file does not begin with the end of a line of the one before`() {
        append(1)
        _ = take { $0 - 5 }
        lines.beginFile()
        append(1)
        #expect(take().pieces[0].hasPrefix("{"))
    }

    @Test func `an end of line alone ends the part of a line`() {
        append(1)
        _ = take { _ in 7 }
        append(1)
        #expect(take { _ in 1 }.lines == 0)
        append(1)
        let (pieces, count) = take()
        #expect(count == 1 && pieces[0].hasPrefix("{"))
    }

    @Test func `a part of many lines counts those that are whole`() {
        append(10)
        let length = take().pieces[0].utf8.count / 10
        append(10)
        #expect(take { _ in 3 * length + 1 }.lines == 3)
        append(9)
        // With the end of line in front.
        #expect(take { _ in 4 * length + 1 }.lines == 4)
        append(1)
        #expect(take().pieces[0].hasPrefix("{"))
    }
}

/// The ports of the peers in `text`, as `ConnectionRecord.example` has them.
func ports(_ text: String) -> [Int] {
    text.split(separator: "\n").compactMap { line in
        line.split(separator: "127.0.0.1:").dropFirst().first.flatMap { Int($0.prefix { $0 != "\"" }) }
    }
}

extension ConnectionRecord {
    /// All of the same length, up to 9.
    static func example(_ port: Int) -> ConnectionRecord {
        ConnectionRecord(
            start: timespec(), from: .now, until: .now, peer: .loopback(port: UInt16(port)), model: "green", pid: 1,
            traffic: .init(), end: .done)
    }
}
