import GreenNet

/// A stream of bytes that is encrypted, over another stream such as a `Connection`.
///
///     let connection = try Connection.connect(to: "example.org", port: 443)
///     let tls = try TLSConnection(connection, context, serverName: "example.org")
///     try tls.handshake(until: .after(.seconds(10)))
///     try tls.sendAll("GET / HTTP/1.0\r\n\r\n")
///
/// After the handshake it is used as the stream below would be: calls park the green thread that has to wait, one may receive while another sends, and two that
/// receive (or send) at once are a programming error.  A connection that waits holds no buffers, but for the state of TLS.
///
/// It works over a blocking `Connection` too, on an OS thread that has no hub.  Belongs to the OS thread of the stream below.
public final class TLSConnection: ByteStream {
    /// The stream below.  Bytes that are received or sent there directly break the connection.
    public let stream: any ByteStream
    /// The name that the client has asked for; nil on a server.
    public let serverName: String?
    /// The other side's address; nil where the stream below is no `Connection`.
    public var peer: SocketAddress? { connection?.peer }

    let context: TLSContext
    let engine: TLSEngine
    /// The stream below, where it is a connection: it receives into a buffer that its hub's connections share, and says how much it has sent.
    let connection: Connection?

    @exclusivity(unchecked)
    private(set) var isReady = false
    @exclusivity(unchecked)
    private(set) var isClosed = false

    // Sending, see TLSSending.swift.
    @exclusivity(unchecked)
    var isFlushing = false
    @exclusivity(unchecked)
    var flushEnded: GreenEvent?
    /// Records of which a part was sent, when a deadline or a kill ended the call.
    @exclusivity(unchecked)
    var unsent: TLSOutput?
    /// Set once the stream below has failed in the middle of a record.
    @exclusivity(unchecked)
    var sendingFailure: TLSError?

    /// TLS over `stream`, for the side that `context` is for.  Nothing is sent before `handshake(until:)`.
    ///
    /// `serverName` is the name or the address of the server that a client wants to reach: its certificate is checked for it, and a name is sent too, so that the
    /// server can choose among its certificates.  A client whose context checks servers has to give it; a server gives none.
    ///
    /// Throws `badName` for a name that can't be a host's.
    public init(_ stream: any ByteStream, _ context: TLSContext, serverName: String? = nil) throws(TLSError) {
        switch context.role {
        case .client:
            require(
                serverName != nil || !context.checksServer,
                "TLSConnection: a client that checks servers is told the server's name")
        case .server: require(serverName == nil, "TLSConnection: a server is given no serverName, but '\(serverName!)'")
        }
        self.stream = stream
        connection = stream as? Connection
        (self.context, self.serverName) = (context, serverName)
        let peer = connection?.peer
        guard let engine = TLSEngine(context.now, isServer: context.role == .server) else {
            throw TLSError(.handshake, .failed("no memory for a TLS connection"), peer, serverName)
        }
        self.engine = engine
        guard let serverName else { return }
        let name = TLSConnection.withoutDot(serverName)
        guard TLSConnection.isName(name), engine.setServerName(name) else {
            throw TLSError(.handshake, .badName(serverName), peer, serverName)
        }
        if let earlier = context.sessions.take(for: sessionKey) { engine.resume(earlier) }
    }

    deinit { unsent?.free() }

    /// `example.org.` is the same name: certificates leave the dot out.
    private static func withoutDot(_ name: String) -> String { name.hasSuffix(".") ? String(name.dropLast()) : name }

    private static func isName(_ name: String) -> Bool {
        (1...253).contains(name.utf8.count) && name.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    /// The same host may have other servers on other ports.
    private var sessionKey: String { "\(serverName ?? "") \(peer.map { "\($0)" } ?? "")" }

    func error(_ call: TLSError.Call, _ reason: TLSError.Reason) -> TLSError {
        TLSError(call, reason, peer, serverName)
    }

    // MARK: - The handshake

    /// Agrees with the other side on keys, and checks its certificate.  To be called once, before anything else.
    ///
    /// Throws where the other side is refused, or refuses, for a reason that the error gives; when `deadline` has passed; when the green thread was killed or its
    /// time limit is over; and where the stream below fails.  The connection can only be closed then.
    ///
    /// With TLS 1.3, a server checks the client's certificate after the client's handshake has ended: the first call that receives throws the refusal.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func handshake(until deadline: Deadline = .never) throws(TLSError) {
        require(!isReady, "handshake: it is done already")
        while true {
            let step = engine.handshake()
            engine.keepInput()
            switch step {
            case .done:
                try flush(.handshake, until: deadline)
                isReady = true
                keepResumedSession()
                keepOfferedSession()
                return
            case .needsInput:
                try flush(.handshake, until: deadline)
                guard try receiveRecords(.handshake, until: deadline) else { throw error(.handshake, .truncated) }
            case .ended: throw error(.handshake, .truncated)
            case .failed(let reason): throw failure(.handshake, reason)
            }
        }
    }

    /// What was agreed on.  After the handshake.
    public var facts: TLSFacts {
        requireReady("facts")
        return engine.facts
    }

    func requireReady(_ call: String) {
        require(isReady, "\(call): the handshake comes first, see handshake(until:)")
    }

    /// The other side is told why, where there is room.
    func failure(_ call: TLSError.Call, _ reason: TLSError.Reason) -> TLSError {
        sendIfRoom()
        return error(call, reason)
    }

    /// A client keeps what the server has offered for its next connection.
    @inline(__always)
    func keepOfferedSession() {
        if engine.hasOfferedSession, let offered = engine.takeOfferedSession() {
            context.sessions.keep(offered, for: sessionKey)
        }
    }

    /// With TLS 1.2, a server may offer no other session where one was taken up.
    private func keepResumedSession() {
        guard context.role == .client, !engine.hasOfferedSession, let session = engine.reusableSession() else { return }
        context.sessions.keep(session, for: sessionKey)
    }

    // MARK: - Ending

    /// Sends the end of this side's stream (close_notify), and ends the stream below in this direction; receiving goes on.
    ///
    /// It waits where the other side has not taken what was sent before.  Throws as `sendAll` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func shutdownSending(until deadline: Deadline) throws(TLSError) {
        requireReady("shutdownSending")
        engine.endSending()
        try flush(.shutdown, until: deadline)
        do { try stream.shutdownSending() } catch { throw self.error(.shutdown, .stream(error)) }
    }

    /// As `shutdownSending(until: .never)`.
    public func shutdownSending() throws { try endSending() }

    private func endSending() throws(TLSError) {
        requireReady("shutdownSending")
        engine.endSending()
        try flush(.shutdown, until: .never)
        do { try stream.shutdownSending() } catch { throw self.error(.shutdown, .stream(error)) }
    }

    /// Closes both directions, and the stream below.  Green threads that wait in a call get `WaitError.closed`.  May be called again.
    ///
    /// It sends the end of this side's stream first, where the kernel has room for it at once, and all that was sent before has gone out.  Never waits.  A
    /// connection that is dropped without `close` does not send it: the other side learns that what it has got may be cut short.
    public func close() {
        if isReady, !isClosed, !engine.hasFailed, !isFlushing, unsent == nil, !engine.hasOutput {
            engine.endSending()
            sendIfRoom()
        }
        isClosed = true
        stream.close()
    }
}

@available(*, unavailable)
extension TLSConnection: Sendable {}
