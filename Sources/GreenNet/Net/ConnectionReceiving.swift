import Glibc

// MARK: - Copies

extension Connection {
    /// Waits until something has come and returns what is there: at least one byte, and no more than `Hub.receiveBufferSize`.  Nil at the end of the stream.
    ///
    /// A byte that was sent as urgent data (`MSG_OOB`) is received at its place in the stream, as RFC 6093 recommends.
    ///
    /// After 16 calls in a row that did not have to wait, it gives way to the other green threads.  A loop over what *one* call has returned, line by line
    /// say, does not: see <doc:Fairness>.
    ///
    /// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and where the kernel reports an error.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(until deadline: Deadline = .never) throws(NetError) -> [UInt8]? {
        try receiveView(until: deadline).map { [UInt8]($0) }
    }

    /// Waits until something has come and returns up to `limit` bytes of it.  Nil at the end of the stream.
    /// Throws as `receive(until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(upTo limit: Int, until deadline: Deadline = .never) throws(NetError) -> [UInt8]? {
        require(limit > 0, "receive(upTo: \(limit)): the limit is 1 byte or more")
        let bytes = try receive(until: deadline) { sharedBuffer(upTo: limit) }
        buffer.pointee.noteReceived(bytes.count)
        return bytes.isEmpty ? nil : [UInt8](bytes)
    }

    /// Waits for exactly `count` bytes.  Throws as `receive(until:)` does, and where the stream ends before: the error's `ending` is `endOfStream` then,
    /// with the number of bytes that came.  Nothing is lost where it throws: the error's `received` has what came before.
    ///
    /// Memory is taken as bytes come, so that `count` may be a number that the other side has sent.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(exactly count: Int, until deadline: Deadline = .never) throws(NetError) -> [UInt8] {
        require(count >= 0, "receive(exactly: \(count)): the count is 0 bytes or more")
        let bytes = try receiveAll(upTo: count, until: deadline)
        guard bytes.count < count else { return bytes }
        throw NetError(.recv, .endOfStream(received: bytes.count, wanted: count), peer, received: bytes)
    }

    /// Waits for the end of the stream, or until `limit` bytes have come, and returns all that came.  Throws as `receive(until:)` does; the
    /// error's `received` has what came before.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receiveAll(upTo limit: Int = .max, until deadline: Deadline = .never) throws(NetError) -> [UInt8] {
        require(limit >= 0, "receiveAll(upTo: \(limit)): the limit is 0 bytes or more")
        var bytes: [UInt8] = []
        do throws(NetError) {
            while bytes.count < limit, let more = try receive(upTo: limit - bytes.count, until: deadline) {
                bytes += more
            }
        } catch {
            throw error.after(received: bytes)
        }
        return bytes
    }

    /// Waits until something has come, reads as much of it into `buffer` as is there and fits, and returns how many bytes.  Nil at the end of the
    /// stream.  `buffer` has room for 1 byte or more.
    /// Throws as `receive(until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never
    ) throws(NetError) -> Int? {
        require(!buffer.isEmpty, "receive(into:): the buffer has no room")
        let bytes = try receive(until: deadline) { buffer }
        return bytes.isEmpty ? nil : bytes.count
    }
}

// MARK: - In place

extension Connection {
    /// Waits until something has come, and runs `body` with it.  Returns what `body` returns, and nil at the end of the stream.
    ///
    ///     while try connection.withReceivedBytes({ bytes in try connection.sendAll(bytes.bytes) }) != nil {}
    ///
    /// The bytes are not copied: they lie in a buffer that the connections of the hub receive into, and that is lent to `body`.  So `body` may change
    /// them, and may wait: as long as it runs, other connections receive into another buffer.
    ///
    /// Throws as `receive(until:)` does, and what `body` throws.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func withReceivedBytes<Value>(
        until deadline: Deadline = .never, _ body: (inout MutableRawSpan) throws -> Value
    ) throws -> Value? {
        guard let view = try receiveView(until: deadline) else { return nil }
        let lent = buffer.pointee.lend()
        defer { buffer.pointee.takeBack(lent) }
        var bytes = UnsafeMutableRawBufferPointer(start: view.baseAddress, count: view.count).mutableBytes
        return try body(&bytes)
    }

    /// Waits until something has come and returns a view of it.  Nil at the end of the stream.  **For programs to which the copy of `receive` costs too
    /// much**: the view lies in the buffer that all connections of the hub share.
    ///
    /// It is valid until the green thread's next call that waits or gives way, which `sendAll` may do, or receives from any connection, and at the longest
    /// until the end of the innermost `withReceivedBytes` body that it was received in; then another client's bytes may lie there.  Until then it may be changed.  `sendAll` of a view sends the right bytes.  A debug build overwrites a view that is
    /// no longer valid with 0xdd, when it was sent or the next bytes are received.
    ///
    /// Throws as `receive(until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receiveView(until deadline: Deadline = .never) throws(NetError) -> UnsafeMutableRawBufferPointer? {
        let bytes = try receive(until: deadline) { sharedBuffer() }
        if bytes.isEmpty { return nil }
        buffer.pointee.noteReceived(bytes.count)
        return bytes
    }
}

// MARK: - The loop

extension Connection {
    /// Waits until something has come, reads it into `target`, which is asked for after the wait, and returns the part that was read into.  Empty at the end of
    /// the stream.
    ///
    /// After the wait the loop begins anew: `mayReceive` is true then, and `receiveNow` reads.
    @inline(__always)
    private func receive(
        until deadline: Deadline, into target: () -> UnsafeMutableRawBufferPointer
    ) throws(NetError) -> UnsafeMutableRawBufferPointer {
        if socket.mayReceive { try takeTurn(.recv) }
        while true {
            if socket.mayReceive {
                let room = target()
                if let count = try receiveNow(into: room) { return .init(start: room.baseAddress, count: count) }
            }
            if socket.endsWhenEmpty {
                let room = target()
                return .init(start: room.baseAddress, count: try receiveRest(into: room))
            }
            if let error = socket.waitUntilReadable(until: deadline) { throw failure(.recv, error) }
            // A green thread that sends after its wait looks here next: it comes while the kernel receives.
            Context.prefetch(self)
        }
    }

    /// Nil where nothing is there.
    @inline(__always)
    private func receiveNow(into buffer: UnsafeMutableRawBufferPointer) throws(NetError) -> Int? {
        if socket.isClosed { throw failure(.recv, .closed) }
        let count = SystemCalls.receive(socket.descriptor, into: buffer)
        socket.noteRead(count, of: buffer.count)
        if count >= 0 { return count }
        if count == -Int(EAGAIN) { return nil }
        throw failure(.recv, result: count)
    }

    /// After `finishReceiving` and a short read, which ends the stream where it has emptied the socket.
    @inline(never)
    private func receiveRest(into buffer: UnsafeMutableRawBufferPointer) throws(NetError) -> Int {
        guard !socket.isClosed, mayHaveRest else { return 0 }
        return try receiveNow(into: buffer) ?? 0
    }

    /// The kernel stops reading at urgent data; and of a unix socket also behind a descriptor that was passed, and where another process has written.
    private var mayHaveRest: Bool {
        guard peer.family == AF_UNIX else { return SystemCalls.isAtUrgentByte(socket.descriptor) }
        // A blocking connection's server shuts the socket down instead.
        return socket.mayProbe
    }
}

// MARK: - The buffer that the connections of a hub share

extension Connection {
    @inline(__always)
    private var buffer: UnsafeMutablePointer<SharedBuffer> { socket.receiveBuffer }

    @inline(__always)
    private func sharedBuffer() -> UnsafeMutableRawBufferPointer {
        let buffer = buffer
        buffer.pointee.spoil()
        return buffer.pointee.bytes()
    }

    private func sharedBuffer(upTo limit: Int) -> UnsafeMutableRawBufferPointer {
        let all = sharedBuffer()
        return UnsafeMutableRawBufferPointer(start: all.baseAddress, count: min(limit, all.count))
    }

    /// A copy of `bytes` where they lie in the shared buffer: others receive there while this green thread waits.
    func copyIfShared(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        guard buffer.pointee.contains(bytes) else { return nil }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        copy.copyMemory(from: bytes)
        return copy
    }

    /// In debug builds, overwrites a view that was sent: its sender is no longer to use it.
    @inline(__always)
    func spoilIfShared(_ bytes: UnsafeRawBufferPointer) {
        #if DEBUG
        if buffer.pointee.contains(bytes) { buffer.pointee.spoil() }
        #endif
    }
}

extension Hub {
    /// The size in bytes of the buffer that the hub's connections receive into: no call of `Connection.receive` returns more.  64 KiB unless set before its
    /// first use.
    public var receiveBufferSize: Int {
        get { scheduler.receiveBuffer.pointee.size }
        set {
            checkOwner()
            require(newValue > 0, "a receive buffer of \(newValue) bytes: it takes 1 or more")
            require(!scheduler.receiveBuffer.pointee.isInUse, "the receive buffer is in use already")
            scheduler.receiveBuffer.pointee.size = newValue
        }
    }
}
