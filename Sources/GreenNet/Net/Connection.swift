import Glibc

/// A connected stream socket, used as if it blocked: a call that has to wait parks its green thread, and the others run.
///
/// It owns its descriptor and closes it once: in `close()`, or when the last reference goes.  One green thread may receive while another
/// sends; two that receive (or send) at once are a programming error, which stops the program.  Where the other side resets the connection, Linux
/// tells one of the two calls only: a send throws ECONNRESET, say, and the receiver sees the end of the stream.
/// Belongs to the OS thread that made it.
public final class Connection {
    /// The other side.
    public let peer: SocketAddress
    let socket: Socket

    /// Whether its server is being drained, and waits for this connection to end: true from the moment when `StreamServer.drain` was called.  False for a
    /// connection of no server.
    @exclusivity(unchecked)
    public private(set) var isDraining = false
    /// Inside `withIdle`.
    @exclusivity(unchecked)
    private var isIdle = false
    /// `finishReceiving` was called.
    @exclusivity(unchecked)
    private var isFinished = false

    /// Takes over an open, non-blocking descriptor, for use on this hub.
    package init(descriptor: Int32, peer: SocketAddress) {
        self.peer = peer
        socket = .make(descriptor)
    }

    /// Takes over an open, blocking descriptor, for use on an OS thread that has no hub.  Each call is one system call there; a `kill` or
    /// `withTimeout` is not felt, deadlines are.  Its server can't tell it that it is being drained: `isDraining` stays false, an idle wait goes on, and at
    /// the drain's deadline the server shuts the socket down for receiving, which is the end of the stream.
    package init(blocking descriptor: Int32, peer: SocketAddress, receiveBufferSize: Int) {
        self.peer = peer
        socket = .makeBlocking(descriptor, receiveBufferSize: receiveBufferSize)
    }

    deinit { socket.free() }

    /// Closes the descriptor.  Calls that wait on it throw, with `WaitError.closed`, and so does every later one.  Never waits.
    public func close() { socket.close() }

    // MARK: Receiving

    /// Waits until something has come and returns it; nil at the end of the stream.
    /// A byte that was sent as urgent data (`MSG_OOB`) is received at its place in the stream, as RFC 6093 recommends.
    ///
    /// The bytes lie in a buffer that all connections of the hub share, so that one that waits holds none.  They may be changed there, and
    /// are gone at the next call that waits or gives way; `sendAll` of them looks after itself.
    ///
    /// After 16 calls in a row that did not have to wait, it gives way to the other green threads.  A loop over what *one* call has returned, line by line
    /// say, does not: see <doc:Fairness>.
    ///
    /// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and where the kernel says so.
    public func receive(until deadline: Deadline = .never) throws(NetError) -> UnsafeMutableRawBufferPointer? {
        let buffer = sharedBuffer
        let count = try receive(into: buffer, until: deadline)
        return count == 0 ? nil : UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
    }

    /// Waits until something has come, reads as much of it as is there and fits, and returns how many bytes; 0 at the end of the stream.
    /// Throws as `receive(until:)` does.
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never
    ) throws(NetError) -> Int {
        if socket.pointee.mayReceive { try takeTurn(.recv) }
        while true {
            if socket.pointee.mayReceive, let count = try receiveNow(into: buffer) { return count }
            if socket.pointee.endsWhenEmpty { return try receiveRest(into: buffer) }
            if let error = socket.waitUntilReadable(until: deadline) {
                throw NetError(.recv, .wait(error), peer)
            }
            // After a wait, whoever sends looks here next: it comes while the kernel receives.
            Context.prefetch(self)
        }
    }

    /// After `finishReceiving` and a short read, which ends the stream where it has emptied the socket.
    @inline(never)
    private func receiveRest(into buffer: UnsafeMutableRawBufferPointer) throws(NetError) -> Int {
        guard !socket.pointee.isClosed, mayHaveRest else { return 0 }
        return try receiveNow(into: buffer) ?? 0
    }

    /// The kernel stops reading at urgent data; and of a unix socket also behind a descriptor that was passed, and where another process has written.
    private var mayHaveRest: Bool {
        guard peer.family == AF_UNIX else { return SystemCalls.isAtUrgentByte(socket.pointee.descriptor) }
        // On an OS thread of its own the call would wait; there the server shuts the socket down instead.
        return socket.pointee.hub != nil
    }

    /// Nil where nothing is there.
    @inline(__always)
    private func receiveNow(into buffer: UnsafeMutableRawBufferPointer) throws(NetError) -> Int? {
        if socket.pointee.isClosed { throw NetError(.recv, .wait(.closed), peer) }
        let count = SystemCalls.receive(socket.pointee.descriptor, into: buffer)
        // A short read has emptied the socket.  The end of the stream stays there to be read again.  A blocking socket must hear of the
        // next call's deadline first.
        socket.pointee.mayReceive = (count == buffer.count || count == 0) && socket.pointee.hub != nil
        if count >= 0 { return count }
        if count == -Int(EAGAIN) { return nil }
        throw NetError(.recv, result: count, peer)
    }

    @inline(__always)
    private func takeTurn(_ call: NetError.Call) throws(NetError) {
        do throws(WaitError) { try socket.takeTurn() } catch { throw NetError(call, .wait(error), peer) }
    }

    // MARK: Sending

    /// Sends all of `bytes`, waiting as often as the other side is slow.
    /// Throws as `receive(until:)` does; how much was sent by then is unknown.
    public func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(NetError) {
        if let error = socket.prepareToSend(until: deadline) { throw NetError(.send, .wait(error), peer) }
        let sent = try sendNow(bytes)
        if sent < bytes.count { return try sendRest(UnsafeRawBufferPointer(rebasing: bytes[sent...]), until: deadline) }
        // Not before: whoever has its turn receives into the buffer that `bytes` may lie in.
        try takeTurn(.send)
    }

    /// Sends all of `bytes`, as long as the other side takes some of it within each `stall`.
    /// Throws as `receive(until:)` does, with `deadlinePassed` where it took none for so long.
    package func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws(NetError) {
        let deadline = Deadline.after(stall)
        if let error = socket.prepareToSend(until: deadline) { throw NetError(.send, .wait(error), peer) }
        let sent = try sendNow(bytes)
        if sent < bytes.count {
            return try sendRest(UnsafeRawBufferPointer(rebasing: bytes[sent...]), until: deadline, renewedBy: stall)
        }
        try takeTurn(.send)
    }

    /// Sends all of what `receive(until:)` returned.
    public func sendAll(_ bytes: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never) throws(NetError) {
        try sendAll(UnsafeRawBufferPointer(bytes), until: deadline)
    }

    /// Waits until the kernel takes some of `bytes`, and returns how many it took.
    public func send(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(NetError) -> Int {
        try takeTurn(.send)
        if let error = socket.prepareToSend(until: deadline) { throw NetError(.send, .wait(error), peer) }
        while true {
            let sent = try sendNow(bytes)
            if sent > 0 || bytes.isEmpty { return sent }
            if let error = socket.waitUntilWritable(until: deadline) {
                throw NetError(.send, .wait(error), peer)
            }
        }
    }

    /// 0 where the kernel has no room.
    @inline(__always)
    private func sendNow(_ bytes: UnsafeRawBufferPointer) throws(NetError) -> Int {
        if socket.pointee.isClosed { throw NetError(.send, .wait(.closed), peer) }
        let sent = SystemCalls.send(socket.pointee.descriptor, bytes)
        if sent >= 0 { return sent }
        if sent == -Int(EAGAIN) { return 0 }
        throw NetError(.send, result: sent, peer)
    }

    /// The slow part, for the other side is slow.  What lies in the shared buffer is copied, for others will receive there meanwhile.
    private func sendRest(
        _ bytes: UnsafeRawBufferPointer, until deadline: Deadline, renewedBy stall: Duration? = nil
    ) throws(NetError) {
        var deadline = deadline
        let copy = socket.pointee.hub?.copyIfShared(bytes)
        defer { copy?.deallocate() }
        var rest = copy.map { UnsafeRawBufferPointer($0) } ?? bytes
        while !rest.isEmpty {
            if let error = socket.waitUntilWritable(until: deadline) {
                throw NetError(.send, .wait(error), peer)
            }
            let sent = try sendNow(rest)
            if let stall, sent > 0 { deadline = .after(stall) }
            rest = UnsafeRawBufferPointer(rebasing: rest[sent...])
        }
    }

    // MARK: Ending

    /// Tells the other side that nothing more comes; receiving goes on.
    public func shutdownSending() throws(NetError) {
        if socket.pointee.isClosed { throw NetError(.shutdown, .wait(.closed), peer) }
        let result = SystemCalls.shutdownSending(socket.pointee.descriptor)
        if result < 0 { throw NetError(.shutdown, result: result, peer) }
    }

    /// For a blocking connection that is shut down for receiving: takes and drops what still comes, until the other side has all that it
    /// was sent, or for so long.  A close with unread bytes would reset the connection, and take with it what is still on its way.
    package func lingerOffHub(within length: Duration) {
        let deadline = Deadline.after(length)
        while true {
            let isTaken = SystemCalls.unacknowledgedBytes(socket.pointee.descriptor) <= 0
            // It is shut down: where nothing is there, that is the end of the stream.
            while !deadline.hasPassed, (try? receive()) != nil {}
            if isTaken || deadline.hasPassed { return }
            SystemCalls.sleep(.milliseconds(1))
        }
    }

    /// From now on, `receive` returns what has come already and then the end of the stream, without waiting for more.
    public func finishReceiving() {
        isFinished = true
        stopWaiting()
    }

    private func stopWaiting() {
        guard !socket.pointee.isClosed else { return }
        socket.pointee.endsWhenEmpty = true
        socket.wakeReader()
    }

    // MARK: Draining

    /// Runs `body`, in which the connection counts as idle: its client is owed nothing.  For the wait for a client's next request.
    ///
    /// While its server is being drained, `receive` inside `body` waits for nothing more: it returns what has come already, and else the end of the
    /// stream.  After `body`, receiving is as before, so that a request of which only a part had come can be received to its end:
    ///
    ///     while true {
    ///         var request = try connection.withIdle { try connection.receive(upTo: 4096) }
    ///         if request.isEmpty { return }  // the client has gone, or the server is being drained
    ///         while !isComplete(request) { request += try connection.receive(upTo: 4096) }
    ///         try connection.sendAll(answer(to: request, keepsAlive: !connection.isDraining))
    ///     }
    ///
    /// Throws what `body` throws.
    public func withIdle<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let wasIdle = isIdle
        isIdle = true
        if isDraining { stopWaiting() }
        defer {
            isIdle = wasIdle
            if !wasIdle, !isFinished { socket.pointee.endsWhenEmpty = false }
        }
        return try body()
    }

    /// Its server is being drained.  Never waits.
    func beginDraining() {
        isDraining = true
        if isIdle { stopWaiting() }
    }
}

@available(*, unavailable)
extension Connection: Sendable {}

// MARK: - With arrays

extension Connection {
    /// Waits until something has come and returns up to `limit` bytes of it; none at the end of the stream.
    /// Throws as `receive(until:)` does.
    public func receive(upTo limit: Int, until deadline: Deadline = .never) throws(NetError) -> [UInt8] {
        require(limit > 0, "receive(upTo: \(limit)): the limit is 1 byte or more")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 16)
        defer { buffer.deallocate() }
        let count = try receive(into: buffer, until: deadline)
        return [UInt8](buffer.prefix(count))
    }

    /// Waits for exactly `count` bytes, or fewer where the stream ends before.  Throws as `receive(until:)` does.
    public func receive(exactly count: Int, until deadline: Deadline = .never) throws(NetError) -> [UInt8] {
        require(count >= 0, "receive(exactly: \(count)): the count is 0 bytes or more")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { buffer.deallocate() }
        var filled = 0
        while filled < count {
            let part = try receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), until: deadline)
            if part == 0 { break }
            filled += part
        }
        return [UInt8](buffer.prefix(filled))
    }

    /// Sends all of `bytes`.  Throws as `sendAll` of raw bytes does.
    public func sendAll(_ bytes: [UInt8], until deadline: Deadline = .never) throws(NetError) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(NetError) in
            try sendAll(UnsafeRawBufferPointer(buffer), until: deadline)
        }
    }
}

// MARK: - The buffer that the connections of a hub share

extension Connection {
    @inline(__always)
    private var sharedBuffer: UnsafeMutableRawBufferPointer {
        socket.pointee.hub?.receiveBuffer ?? socket.blocking.pointee.receiveBuffer
    }
}

extension HubPointer {
    fileprivate var receiveBuffer: UnsafeMutableRawBufferPointer {
        @inline(__always) get {
            if pointee.receiveBuffer.baseAddress == nil {
                pointee.receiveBuffer = .allocate(byteCount: pointee.receiveBufferSize, alignment: 64)
            }
            return pointee.receiveBuffer
        }
    }

    fileprivate func copyIfShared(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        guard let shared = pointee.receiveBuffer.baseAddress, let start = bytes.baseAddress,
            start >= shared, start < shared + pointee.receiveBuffer.count
        else { return nil }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        copy.copyMemory(from: bytes)
        return copy
    }
}

extension Hub {
    /// The size in bytes of the buffer that `Connection.receive(until:)` returns views of; 64 KiB unless set before its first use.
    public var receiveBufferSize: Int {
        get { state.pointee.receiveBufferSize }
        set {
            require(newValue > 0, "a receive buffer of \(newValue) bytes: it takes 1 or more")
            require(state.pointee.receiveBuffer.baseAddress == nil, "the receive buffer is in use already")
            state.pointee.receiveBufferSize = newValue
        }
    }
}
