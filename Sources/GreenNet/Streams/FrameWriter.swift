/// Writes frames: four bytes of length, big endian, and as many bytes.  `FrameReader` reads them.
///
/// Belongs to the OS thread that uses it first, and to one green thread at a time: several that write frames to one stream take turns with a `GreenLock`.
public final class FrameWriter: HubObject {
    /// Where the frames go.
    public let stream: any ByteStream
    /// How many bytes a frame has at most, without its length.
    public let longest: Int

    var owner = Owner()
    private var state = State.betweenFrames

    private enum State {
        case betweenFrames, writing
        /// What comes next would be taken for the rest of the last frame.
        case insideFrame
    }

    /// A writer of frames of up to `longest` bytes: 0 to 4,294,967,295, as many as four bytes can say.
    public init(_ stream: any ByteStream, longest: Int = 1 << 20) {
        (self.stream, self.longest) = (stream, Frame.checked(longest))
    }

    /// Writes a frame of `bytes`, waiting as often as the other side is slow.
    ///
    /// Throws `FrameTooLong` before anything is written, and the writer goes on with the next frame.  Throws what the stream throws, by its deadline or a kill
    /// too.  Where a part of the frame may have been written by then, the stream can take no other frame: each later call throws `FrameInterrupted`.
    /// A connection's error says that nothing was written; then later calls write.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func write(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws {
        checkOwner()
        if bytes.count > longest { throw FrameTooLong(count: bytes.count, limit: longest) }
        require(state != .writing, "two green threads write to a \(kind)")
        if state == .insideFrame { throw FrameInterrupted() }
        state = .writing
        do {
            var header = UInt32(bytes.count).bigEndian
            try withUnsafeBytes(of: &header) { try stream.sendAll(gathering: [$0, bytes], until: deadline) }
            state = .betweenFrames
        } catch {
            state = hasLeftWhole(bytes.count, error) ? .betweenFrames : .insideFrame
            throw error
        }
    }

    /// Writes a frame of `bytes`.  Throws as `write` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func write(_ bytes: [UInt8], until deadline: Deadline = .never) throws {
        try bytes.withUnsafeBytes { try write($0, until: deadline) }
    }

    /// Whether nothing of a frame was written, or all of it.  Another stream may pass on the error of a connection below it, which counts other bytes.
    private func hasLeftWhole(_ count: Int, _ error: any Error) -> Bool {
        guard stream is Connection || stream is StandardStream, let error = error as? NetError else { return false }
        return error.sent == 0 || error.sent == Frame.headerSize + count
    }
}

/// An earlier frame was cut off in the middle: what were written now would be taken for its rest.
public struct FrameInterrupted: Error, Hashable, Sendable, CustomStringConvertible {
    /// As in `an earlier frame was cut off: the stream takes no other`.
    public var description: String { "an earlier frame was cut off: the stream takes no other" }
}

@available(*, unavailable)
extension FrameWriter: Sendable {}
