import Glibc

/// Reads a stream line by line.
///
///     let lines = LineReader(connection)
///     while let line = try lines.next() { try answer(line) }
///
/// A line ends with "\n" or "\r\n"; the last one may lack its end.  A "\r" elsewhere is a byte of its line.
///
/// Nothing is lost where a call ends early, by its deadline, a kill or an error of the stream: the next call goes on with the same line.  After `LineTooLong` the
/// reader goes on with the next line.  Belongs to the OS thread that uses it first, and to one green thread at a time.
public final class LineReader {
    /// What the lines are read from: for what follows them and is no line, such as a body of known length.
    public let reader: StreamReader
    /// How many bytes a line has at most, without its end.
    public let longest: Int

    /// The rest of a line that was too long is to be skipped.
    private var isSkipping = false

    /// A reader of lines of up to `longest` bytes without their end, 1 or more.
    public convenience init(_ stream: any ByteStream, longest: Int = 65_536) {
        self.init(StreamReader(stream), longest: longest)
    }

    /// A reader of lines from where `reader` is now.
    public init(_ reader: StreamReader, longest: Int = 65_536) {
        require(longest > 0, "LineReader(longest: \(longest)): a line has room for 1 byte or more")
        (self.reader, self.longest) = (reader, longest)
    }

    /// Waits for the next line and returns it without its end.  Nil at the end of the stream.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, the replacement character; `nextBytes` returns them as they are.
    ///
    /// Throws `LineTooLong` as soon as more than `longest` bytes have come without an end of the line, and what the stream throws.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next(until deadline: Deadline = .never) throws -> String? {
        guard let line = try find(until: deadline) else { return nil }
        let text = String(decoding: line.bytes, as: UTF8.self)
        reader.drop(line.countWithEnd)
        return text
    }

    /// Waits for the next line and returns its bytes, without its end.  Nil at the end of the stream.  Throws as `next` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func nextBytes(until deadline: Deadline = .never) throws -> [UInt8]? {
        guard let line = try find(until: deadline) else { return nil }
        let bytes = [UInt8](line.bytes)
        reader.drop(line.countWithEnd)
        return bytes
    }

    // MARK: Finding the end

    /// A line that has come whole and lies in the reader.
    private struct Line {
        let bytes: UnsafeRawBufferPointer
        let countWithEnd: Int
    }

    private static let end: [UInt8] = [UInt8(ascii: "\n")]
    private static let carriageReturn = UInt8(ascii: "\r")

    private func find(until deadline: Deadline) throws -> Line? {
        try reader.begin()
        while true {
            if let end = reader.position(of: LineReader.end) {
                if let line = try line(endingAt: end) { return line }
            } else {
                try dropIfTooLong()
                if try !reader.fill(expecting: 1, until: deadline) { return try lastLine() }
            }
        }
    }

    /// Nil of one whose rest was to be skipped.
    private func line(endingAt end: Int) throws(LineTooLong) -> Line? {
        let bytes = reader.bytes
        let hasReturn = end > 0 && bytes[end - 1] == LineReader.carriageReturn
        let count = hasReturn ? end - 1 : end
        if count > longest || isSkipping {
            let wasTold = isSkipping
            isSkipping = false
            reader.drop(end + 1)
            if wasTold { return nil }
            throw LineTooLong(limit: longest)
        }
        return Line(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<count]), countWithEnd: end + 1)
    }

    /// Of a line whose end has not come, memory holds no more than may be returned.
    private func dropIfTooLong() throws(LineTooLong) {
        let bytes = reader.bytes
        if isSkipping { return reader.drop(bytes.count) }
        guard bytes.count > longest else { return }
        // This may be the first byte of the line's end.
        if bytes.count - 1 == longest, bytes[longest] == LineReader.carriageReturn { return }
        isSkipping = true
        reader.drop(bytes.count)
        throw LineTooLong(limit: longest)
    }

    /// At the end of the stream.
    private func lastLine() throws(LineTooLong) -> Line? {
        let bytes = reader.bytes
        isSkipping = false
        if bytes.isEmpty { return nil }
        if bytes.count > longest {
            reader.drop(bytes.count)
            throw LineTooLong(limit: longest)
        }
        return Line(bytes: bytes, countWithEnd: bytes.count)
    }
}

/// A line has more bytes than its reader takes.
public struct LineTooLong: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reader's `longest`.
    public let limit: Int

    /// As in `a line is longer than 65536 bytes`.
    public var description: String { "a line is longer than \(limit) bytes" }
}

@available(*, unavailable)
extension LineReader: Sendable {}
