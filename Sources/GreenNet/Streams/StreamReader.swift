import Glibc

/// Reads pieces of a stream that end where the program says: after a number of bytes, at a delimiter, at the end.
///
///     let reader = StreamReader(connection, limit: 16_384)
///     let head = try reader.until(Array("\r\n\r\n".utf8))
///     let body = try reader.exactly(contentLength(of: head), limit: 1 << 20)
///
/// One `receive` may bring more than was asked for.  The reader keeps the rest for the next call: as long as it is used, nothing else reads from the stream.
/// `takeBuffered` hands the rest over.
///
/// **Nothing is lost.**  A call that ends early, by its deadline, a kill, a limit or an error of the stream, has taken nothing: the next call begins with the
/// same bytes.  `ReadError` says that the stream ended too soon or that something is longer than its limit; every other error is the stream's own.
///
/// Of a connection that waits for its next request, the reader holds no memory.  Memory grows with the bytes that come, never with a number that the other side
/// has sent, up to the limit of the call and the bytes of one `receive` more.
///
/// Calls that find all in the reader give way to the other green threads after 16 in a row, as a connection's do.  Belongs to the OS thread that uses it first,
/// and to one green thread at a time.
public final class StreamReader: HubObject {
    /// Where the bytes come from.
    public let stream: any ByteStream
    /// How many bytes a call returns at most, unless the call is given another limit.
    public let limit: Int

    /// The stream, where it is a connection: one that waits needs no memory of the reader's then.
    private let connection: Connection?
    var owner = Owner()
    @exclusivity(unchecked)
    private var buffer = ReadBuffer()
    /// A green thread is in `fill`.
    @exclusivity(unchecked)
    private var isFilling = false
    /// Of a stream that is no connection: one that waits at its end, as a terminal does, is not asked again.
    private var hasEnded = false
    /// The first `searched` bytes don't have the delimiter `sought`.
    @exclusivity(unchecked)
    private var searched = 0
    @exclusivity(unchecked)
    private var sought: [UInt8] = []

    /// A reader of `stream`, from where that is now.  The limit is 1 byte or more.
    public init(_ stream: any ByteStream, limit: Int = 1 << 20) {
        require(limit > 0, "StreamReader(limit: \(limit)): the limit is 1 byte or more")
        (self.stream, self.limit) = (stream, limit)
        connection = stream as? Connection
    }

    deinit { buffer.release() }

    // MARK: Reading

    /// Waits for `count` bytes and returns them.
    ///
    /// Throws `ReadError.tooLong` at once where `count` is more than `limit`, and `ReadError.endOfStream` where the stream ends before.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func exactly(_ count: Int, limit: Int? = nil, until deadline: Deadline = .never) throws -> [UInt8] {
        require(count >= 0, "exactly(\(count)): the count is 0 bytes or more")
        let limit = checked(limit)
        if count > limit { throw ReadError.tooLong(limit: limit) }
        try begin()
        while buffer.count < count {
            guard try fill(expecting: count - buffer.count, until: deadline) else {
                throw ReadError.endOfStream(received: buffer.count, wanted: count)
            }
        }
        return take(count)
    }

    /// Waits for the bytes of `delimiter`, which is not empty, and returns what came before them.  The delimiter is taken from the stream, and is not returned.
    ///
    /// Throws `ReadError.tooLong` where more than `limit` bytes come without it, and `ReadError.endOfStream` where the stream ends before, with
    /// `received: 0` where it ended in order.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func until(
        _ delimiter: [UInt8], limit: Int? = nil, until deadline: Deadline = .never
    ) throws -> [UInt8] {
        require(!delimiter.isEmpty, "until([]): the delimiter has 1 byte or more")
        let limit = checked(limit)
        try begin()
        while true {
            if let position = position(of: delimiter) {
                if position > limit { throw ReadError.tooLong(limit: limit) }
                let bytes = [UInt8](UnsafeRawBufferPointer(rebasing: buffer.bytes[..<position]))
                drop(position + delimiter.count)
                return bytes
            }
            // What may be the beginning of the delimiter does not count.
            if searched > limit { throw ReadError.tooLong(limit: limit) }
            guard try fill(expecting: 1, until: deadline) else {
                throw ReadError.endOfStream(received: buffer.count, wanted: nil)
            }
        }
    }

    /// Waits for the end of the stream and returns all that came before it.  Throws `ReadError.tooLong` as soon as that is more than `limit` bytes.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func rest(limit: Int? = nil, until deadline: Deadline = .never) throws -> [UInt8] {
        let limit = checked(limit)
        try begin()
        repeat {
            if buffer.count > limit { throw ReadError.tooLong(limit: limit) }
        } while try fill(expecting: 1, until: deadline)
        return take(buffer.count)
    }

    /// Waits for `count` bytes and returns them; fewer where the stream ends before.  They stay in the reader: the next call begins with them.
    ///
    /// Throws `ReadError.tooLong` at once where `count` is more than the reader's limit.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func peek(_ count: Int, until deadline: Deadline = .never) throws -> [UInt8] {
        require(count >= 0, "peek(\(count)): the count is 0 bytes or more")
        if count > limit { throw ReadError.tooLong(limit: limit) }
        try begin()
        while buffer.count < count, try fill(expecting: count - buffer.count, until: deadline) {}
        return [UInt8](buffer.bytes.prefix(count))
    }

    /// Waits until something has come, and returns true; false at the end of the stream.  Between two requests, say: nothing of the next one has been taken then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func hasMore(until deadline: Deadline = .never) throws -> Bool {
        try begin()
        return try buffer.count > 0 || fill(expecting: 1, until: deadline)
    }

    /// Waits until something has come and returns up to `limit` bytes of it, 1 or more.  Nil at the end of the stream.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(upTo limit: Int, until deadline: Deadline = .never) throws -> [UInt8]? {
        require(limit > 0, "receive(upTo: \(limit)): the limit is 1 byte or more")
        guard try hasMore(until: deadline) else { return nil }
        return take(min(limit, buffer.count))
    }

    // MARK: What has come

    /// How many bytes have come that no call has returned.  Never waits.
    public var bufferedCount: Int { buffer.count }

    /// The bytes that have come and that no call has returned.  They stay in the reader.  Never waits.
    public var buffered: [UInt8] { [UInt8](buffer.bytes) }

    /// Takes over what `buffered` has: for a program that goes on with the stream itself, as after a change of the protocol.  Never waits.
    public func takeBuffered() -> [UInt8] {
        checkOwner()
        require(!isFilling, "what a reader has is taken over while a green thread reads")
        return take(buffer.count)
    }

    // MARK: For readers that are made on it

    /// To be called first by each call that reads.  What receives counts as an operation of the stream.
    @inline(__always)
    func begin() throws(WaitError) {
        checkOwner()
        require(!isFilling, "two green threads read from a \(kind)")
        if buffer.count > 0, let thread = Context.running { try thread.takeTurn() }
    }

    /// Valid until the next call.
    var bytes: UnsafeRawBufferPointer {
        @inline(__always) get { buffer.bytes }
    }

    /// Takes bytes from the stream.
    @inline(__always)
    func drop(_ count: Int) {
        buffer.drop(count)
        searched = 0
    }

    private func take(_ count: Int) -> [UInt8] {
        let bytes = [UInt8](UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
        drop(count)
        return bytes
    }

    /// Where `delimiter` begins among the bytes that have come; nil where it is not among them.  No byte is looked at twice.
    @inline(__always)
    func position(of delimiter: [UInt8]) -> Int? {
        if sought != delimiter { (sought, searched) = (delimiter, 0) }
        let bytes = buffer.bytes
        guard searched < bytes.count, let start = bytes.baseAddress else { return nil }
        let rest = bytes.count - searched
        let found = delimiter.withUnsafeBufferPointer { delimiter in
            delimiter.count == 1
                ? UnsafeRawPointer(memchr(start + searched, Int32(delimiter[0]), rest))
                : LinuxCalls.find(delimiter, in: UnsafeRawBufferPointer(start: start + searched, count: rest))
        }
        if let found { return found - start }
        searched = max(searched, bytes.count - delimiter.count + 1)
        return nil
    }

    /// Reads from the connection into memory of the reader's from this many bytes on: shorter pieces are copied from the buffer that connections share.
    private static let longPiece = 16 << 10
    private static let longestPiece = 256 << 10

    /// Waits until more has come; false at the end of the stream.  `missing` is how many bytes the caller waits for, 1 where it can't know.
    @inline(never)
    func fill(expecting missing: Int, until deadline: Deadline) throws -> Bool {
        if hasEnded { return false }
        isFilling = true
        defer { isFilling = false }
        // A connection may wait long for its next request.
        if buffer.count == 0 { buffer.release() }
        if let connection, missing < StreamReader.longPiece {
            guard let view = try connection.receiveView(until: deadline) else { return false }
            buffer.append(view)
            return true
        }
        let room = buffer.room(atLeast: min(max(missing, StreamReader.longPiece), StreamReader.longestPiece))
        guard let count = try stream.receive(into: room, until: deadline) else {
            hasEnded = connection == nil
            return false
        }
        buffer.noteReceived(count)
        return true
    }

    private func checked(_ limit: Int?) -> Int {
        guard let limit else { return self.limit }
        require(limit >= 0, "limit: \(limit): the limit is 0 bytes or more")
        return limit
    }
}

@available(*, unavailable)
extension StreamReader: Sendable {}
