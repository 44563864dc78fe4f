import GreenNet
import GreenTLS

/// Answers line by line.  A line that is longer than `longest` is answered in pieces of that length, and the last one may be without its end.
struct LineHandler {
    let handler: EchoHandler
    /// Given a line with its end, if it has one.
    let answer: ([UInt8]) -> [UInt8]

    /// In bytes, with the end of the line: what the server keeps of a client.
    static let longest = 64 << 10

    func serve(_ connection: some PeerStream) throws {
        var line: [UInt8] = []
        while let bytes = try handler.receive(from: connection) {
            // The view is not valid after a wait: the answers to all of it are made before one is sent.
            try handler.send(answers(to: UnsafeRawBufferPointer(bytes), &line), on: connection)
        }
        if !line.isEmpty { try handler.send(answer(line), on: connection) }
    }

    private func answers(to bytes: UnsafeRawBufferPointer, _ line: inout [UInt8]) -> [UInt8] {
        var answers: [UInt8] = []
        for byte in bytes {
            line.append(byte)
            guard byte == UInt8(ascii: "\n") || line.count == LineHandler.longest else { continue }
            answers += answer(line)
            line.removeAll(keepingCapacity: true)
        }
        return answers
    }

    /// Each line of `bytes` turned round, also a last one without its end.
    static func reversed(linesOf bytes: UnsafeMutableRawBufferPointer) -> [UInt8] {
        let newline = UInt8(ascii: "\n")
        var (rest, answer) = (bytes[...], [UInt8]())
        while !rest.isEmpty {
            let end = rest.firstIndex(of: newline).map { $0 + 1 } ?? rest.endIndex
            answer += reversed(Array(rest[..<end]))
            rest = rest[end...]
        }
        return answer
    }

    /// The characters of the line from last to first, and then its end.  Of a line that is not UTF-8, the bytes.
    static func reversed(_ line: [UInt8]) -> [UInt8] {
        let ends = ["\r\n", "\n"].map { Array($0.utf8) }
        let end = ends.first { line.suffix($0.count).elementsEqual($0) } ?? []
        let content = line.dropLast(end.count)
        guard let characters = String(utf8: content) else { return content.reversed() + end }
        // Forwards first: going backwards, the standard library counts all flags in front of a flag anew.
        return Array(String(Array(characters).reversed()).utf8) + end
    }
}
