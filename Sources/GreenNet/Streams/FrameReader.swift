/// Reads frames: four bytes of length, big endian, and as many bytes.  `FrameWriter` writes them.
///
///     let frames = FrameReader(connection, longest: 65_536)
///     while let request = try frames.next() { try answer(request) }
///
/// Nothing is lost where a call ends early, by its deadline, a kill or an error of the stream: the next call goes on with the same frame.  After `FrameTooLong`
/// the reader goes on with the next frame.  Memory grows with the bytes that come, not with the length that was sent.
/// Belongs to the OS thread that uses it first, and to one green thread at a time.
public final class FrameReader {
    /// What the frames are read from.
    public let reader: StreamReader
    /// How many bytes a frame has at most, without its length.
    public let longest: Int

    /// How many bytes are left of a frame that was too long.
    private var toSkip = 0

    /// A reader of frames of up to `longest` bytes: 0 to 4,294,967,295, as many as four bytes can say.
    public convenience init(_ stream: any ByteStream, longest: Int = 1 << 20) {
        self.init(StreamReader(stream), longest: longest)
    }

    /// A reader of frames from where `reader` is now.
    public init(_ reader: StreamReader, longest: Int = 1 << 20) {
        (self.reader, self.longest) = (reader, Frame.checked(longest))
    }

    /// Waits for the next frame and returns its bytes, without the length.  Nil where the stream ends between two frames.
    ///
    /// Throws `FrameTooLong` once the length of a frame is known to be more than `longest`; `ReadError.endOfStream` where the stream ends inside a
    /// frame; and what the stream throws.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next(until deadline: Deadline = .never) throws -> [UInt8]? {
        try reader.begin()
        try skipRest(until: deadline)
        guard let count = try length(until: deadline) else { return nil }
        if count > longest {
            reader.drop(Frame.headerSize)
            toSkip = count
            throw FrameTooLong(count: count, limit: longest)
        }
        let whole = Frame.headerSize + count
        while reader.bytes.count < whole { try fill(to: whole, until: deadline) }
        let frame = [UInt8](reader.bytes[Frame.headerSize..<whole])
        reader.drop(whole)
        return frame
    }

    /// Of the frame that was too long.
    private func skipRest(until deadline: Deadline) throws {
        while toSkip > 0 {
            let count = min(toSkip, reader.bytes.count)
            reader.drop(count)
            toSkip -= count
            if toSkip > 0, try !reader.fill(expecting: 1, until: deadline) {
                throw ReadError.endOfStream(received: 0, wanted: toSkip)
            }
        }
    }

    /// That of the next frame; nil where none begins.  It stays in the reader.
    private func length(until deadline: Deadline) throws -> Int? {
        if reader.bytes.isEmpty, try !reader.fill(expecting: 1, until: deadline) { return nil }
        while reader.bytes.count < Frame.headerSize { try fill(to: Frame.headerSize, until: deadline) }
        return Int(UInt32(bigEndian: reader.bytes.loadUnaligned(as: UInt32.self)))
    }

    private func fill(to wanted: Int, until deadline: Deadline) throws {
        let count = reader.bytes.count
        if try !reader.fill(expecting: wanted - count, until: deadline) {
            throw ReadError.endOfStream(received: count, wanted: wanted)
        }
    }
}

/// A frame has more bytes than its reader or its writer takes.
public struct FrameTooLong: Error, Hashable, Sendable, CustomStringConvertible {
    /// How many it has, without its length.
    public let count: Int
    /// The `longest` of the reader or the writer.
    public let limit: Int

    /// As in `a frame has 70000 bytes, more than 65536`.
    public var description: String { "a frame has \(count) bytes, more than \(limit)" }
}

enum Frame {
    /// A length, in bytes.
    static let headerSize = 4

    static func header(of count: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(count).bigEndian) { [UInt8]($0) } }

    /// A limit, if four bytes can say it.
    static func checked(_ longest: Int) -> Int {
        require(0...Int(UInt32.max) ~= longest, "longest: \(longest): a frame has 0 to \(UInt32.max) bytes")
        return longest
    }
}

@available(*, unavailable)
extension FrameReader: Sendable {}
