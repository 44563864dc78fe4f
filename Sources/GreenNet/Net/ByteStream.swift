/// A stream of bytes in both directions, each of which ends by itself: a `Connection`, one with TLS over it, a child's streams, standard input and output.
///
/// Readers and writers are written for it, `LineReader` say.  A type that conforms has to give four functions; the others come with them.  Like a
/// `Connection`, a stream belongs to the hub that it was made on.
///
/// One green thread may receive while another sends.  Two that receive, or two that send, at once are a programming error.
///
/// The errors are those of the stream's own type.  `error.isTimeout`, `error.isCancellation` and `error.isClosed` hold for each of them.
public protocol ByteStream: AnyObject {
    /// Waits until something has come, reads as much of it into `buffer` as is there and fits, and returns how many bytes.  Nil at the end of the
    /// stream.  `buffer` has room for 1 byte or more.
    ///
    /// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and where the stream has failed.  Nothing that came is lost
    /// then: a later call gets it.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int?

    /// Sends all of `bytes`, waiting as often as the other side is slow.  Throws as `receive(into:until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws

    /// Sends all of several pieces, one behind the other.  Throws as `sendAll` does.
    ///
    /// A type that does not have it sends the pieces joined, 64 KiB at a time: as one packet or one record where they are short.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    func sendAll(gathering pieces: [UnsafeRawBufferPointer], until deadline: Deadline) throws

    /// Ends the stream to the other side, which receives all that was sent before.  Receiving goes on.
    func shutdownSending() throws

    /// Closes both directions at once.  Green threads that wait in a call get an error with `isClosed`.  May be called again.
    func close()
}

extension Connection: ByteStream {}

extension ByteStream {
    /// Waits until something has come and returns up to `limit` bytes of it, 1 or more.  Nil at the end of the stream.  Throws as `receive(into:until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(upTo limit: Int, until deadline: Deadline = .never) throws -> [UInt8]? {
        require(limit > 0, "receive(upTo: \(limit)): the limit is 1 byte or more")
        var hasEnded = false
        let bytes = try [UInt8](unsafeUninitializedCapacity: min(limit, 64 << 10)) { buffer, count in
            let room = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer.prefix(limit)))
            let received = try receive(into: room, until: deadline)
            (count, hasEnded) = (received ?? 0, received == nil)
        }
        return hasEnded ? nil : bytes
    }

    /// Sends all of a text as UTF-8.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ text: some StringProtocol, until deadline: Deadline = .never) throws {
        try sendAll(Array(text.utf8), until: deadline)
    }

    /// Sends all of `bytes`.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: [UInt8], until deadline: Deadline = .never) throws {
        try bytes.withUnsafeBytes { try sendAll($0, until: deadline) }
    }

    /// Sends all of several pieces, one behind the other, such as a head and its body.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(gathering pieces: [[UInt8]], until deadline: Deadline = .never) throws {
        try withPointers(to: pieces) { try sendAll(gathering: $0, until: deadline) }
    }

    /// Joins the pieces, 64 KiB at a time.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(gathering pieces: [UnsafeRawBufferPointer], until deadline: Deadline) throws {
        var joined: [UInt8] = []
        for piece in pieces where !piece.isEmpty {
            if joined.count + piece.count > 64 << 10 {
                if !joined.isEmpty { try sendAll(joined, until: deadline) }
                joined.removeAll(keepingCapacity: true)
            }
            // No piece is copied that would fill the room alone.
            if piece.count > 64 << 10 { try sendAll(piece, until: deadline) } else { joined += piece }
        }
        if !joined.isEmpty { try sendAll(joined, until: deadline) }
    }
}
