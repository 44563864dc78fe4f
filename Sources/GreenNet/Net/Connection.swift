import Glibc

/// A connected stream socket, used as if it blocked: a call that has to wait parks its green thread, and the others run.
///
/// It owns its descriptor and closes it once: in `close()`, or when the last reference goes.  One green thread may receive while another
/// sends; two that receive (or send) at once are a programming error, which stops the program.  Where the other side resets the connection, Linux
/// reports it to one of the two calls only: a send throws ECONNRESET, say, and the receiver sees the end of the stream.
/// Belongs to the OS thread that made it.
///
/// The end of the stream is nil in every call that receives.  Only `receive(exactly:)` throws there, since it owes its caller a number of bytes, and
/// `receiveAll(upTo:)`, which waits for the end, returns what came before it.
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
    private(set) var isIdle = false
    /// `finishReceiving` was called.
    @exclusivity(unchecked)
    private var isFinished = false
    /// How many bodies of `withDescriptor` run.
    @exclusivity(unchecked)
    private var loans = 0

    /// Takes over an open, non-blocking descriptor, for use on this hub.
    package init(descriptor: Int32, peer: SocketAddress) {
        self.peer = peer
        socket = .make(descriptor)
    }

    /// Takes over an open, blocking descriptor, for use on an OS thread that has no hub.  Each call is one system call there; a `kill` or
    /// `withTimeout` has no effect, deadlines have.  A drain of its server does not reach it: `isDraining` stays false, an idle wait goes on, and at
    /// the drain's deadline the server shuts the socket down for receiving, which is the end of the stream.
    package init(blocking descriptor: Int32, peer: SocketAddress, receiveBufferSize: Int) {
        self.peer = peer
        socket = .makeBlocking(descriptor, receiveBufferSize: receiveBufferSize)
    }

    deinit { socket.free() }

    /// Closes the descriptor.  Calls that wait on it throw, with `WaitError.closed`, and so does every later call.  Never waits.
    public func close() { socket.close(keepingDescriptor: loans > 0) }

    @inline(__always)
    func takeTurn(_ call: NetError.Call) throws(NetError) {
        do throws(WaitError) { try socket.takeTurn() } catch { throw failure(call, error) }
    }

    // Out of line: what a failure needs lies neither in the frames of a connection that waits, nor between the instructions of a message.

    @inline(never)
    func failure(_ call: NetError.Call, _ error: WaitError) -> NetError { NetError(call, .wait(error), peer) }

    @inline(never)
    func failure(_ call: NetError.Call, result: Int) -> NetError { NetError(call, result: result, peer) }

    /// Lends the descriptor's number to `body`, for a call that this library does not have, and returns or throws as `body` does.
    ///
    /// The descriptor is non-blocking, and stays the connection's.  `body` may read, write, and set options, and may wait: by `waitUntilReadable(_:until:)`, say.  A
    /// `close()` meanwhile ends the connection at once, and gives the number back when `body` is over, so that it is no other file's before.
    /// `body` must not close it, make it blocking, or keep the number.
    ///
    /// Throws a `NetError` with `closed` after `close()`.
    public func withDescriptor<Value>(_ body: (Int32) throws -> Value) throws -> Value {
        socket.checkOwner()
        if socket.isClosed { throw NetError(.dup, .wait(.closed), peer) }
        loans += 1
        defer {
            loans -= 1
            if loans == 0, socket.isClosed { SystemCalls.close(socket.descriptor) }
        }
        return try body(socket.descriptor)
    }

    // MARK: Ending

    /// Sends the end of the stream; receiving goes on.  Throws what the kernel reports, and `closed` after `close()`.  Never waits.
    public func shutdownSending() throws(NetError) {
        socket.checkOwner()
        if socket.isClosed { throw NetError(.shutdown, .wait(.closed), peer) }
        let result = SystemCalls.shutdownSending(socket.descriptor)
        if result < 0 { throw NetError(.shutdown, result: result, peer) }
    }

    /// From now on, `receive` returns what has come already and then the end of the stream, without waiting for more.
    public func finishReceiving() {
        socket.checkOwner()
        isFinished = true
        stopWaiting()
    }

    private func stopWaiting() {
        guard !socket.isClosed else { return }
        socket.endsWhenEmpty = true
        socket.wakeReader()
    }

    // MARK: Draining

    /// Runs `body`, in which the connection counts as idle: its client is owed nothing.  For the wait for a client's next request.
    ///
    /// While its server is being drained, `receive` inside `body` waits for nothing more: it returns what has come already, and else the end of the
    /// stream.  After `body`, receiving is as before, so that a request of which only a part had come can be received to its end:
    ///
    ///     // Until the client has gone, or the server is being drained.
    ///     while var request = try connection.withIdle({ try connection.receive() }) {
    ///         while !isComplete(request), let more = try connection.receive() { request += more }
    ///         try connection.sendAll(answer(to: request, keepsAlive: !connection.isDraining))
    ///     }
    ///
    /// Throws what `body` throws.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func withIdle<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let wasIdle = isIdle
        isIdle = true
        if isDraining { stopWaiting() }
        defer {
            isIdle = wasIdle
            if !wasIdle, !isFinished { socket.endsWhenEmpty = false }
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
