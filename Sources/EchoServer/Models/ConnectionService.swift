import GreenNet
import GreenTLS

/// What a model needs to serve connections: the handler with the settings of now, the counters, the log.
struct ConnectionService: Sendable {
    let live: LiveSettings
    let log: ServerLog
    let counters: CounterRow
    /// Counts clients behind proxies; nil where there are no limits.
    private(set) var clients: ClientAdmission?
    /// Where the connection was accepted; nil where all listeners serve alike.
    var place: ListenEntry?

    init(_ live: LiveSettings, _ log: ServerLog, _ counters: CounterRow, _ clients: ClientAdmission? = nil) {
        (self.live, self.log, self.counters, self.clients) = (live, log, counters, clients)
    }

    /// For a process that serves one connection: its parent settles `note` when it has died.
    func noting(in note: CrashNote?) -> ConnectionService {
        var service = self
        service.clients = clients?.noting(in: note)
        return service
    }

    /// Whether a connection may be counted by its own process.
    var countsClients: Bool { clients != nil && live.now.proxy.mode != .off }

    /// The handler for a connection that begins now.
    var handler: EchoHandler {
        let settings = settings
        return EchoHandler(
            transform: settings.transform, idleTimeout: settings.idleTimeout, writeTimeout: settings.writeTimeout,
            counters: counters, onReceive: log.payloadTracer)
    }

    /// A pool has `size` contexts, which are `change` more than before.
    @Sendable
    func poolChanged(to size: Int, by change: Int) {
        counters.add(change, to: .poolExtra)
        log.poolChanged(to: size)
    }

    /// Serves a connection from its first byte to its last: by the handler alone, unless the settings ask for more.  `hasToEnd` says whether the server has
    /// ended receiving from it by a shutdown of the socket.
    @inline(__always)
    func serve(_ connection: Connection, hasToEnd: () -> Bool = { false }) throws {
        if live.isPlain { return try handler.serve(connection) }
        try serveInSteps(connection, hasToEnd)
    }

    /// The header of a proxy, TLS, the handler: in this order, with the settings of the place at which the connection was accepted.
    @inline(never)
    private func serveInSteps(_ connection: Connection, _ hasToEnd: () -> Bool) throws {
        try at(connection).serveFromHeader(connection, hasToEnd)
    }

    private func serveFromHeader(_ connection: Connection, _ hasToEnd: () -> Bool) throws {
        guard let gate = proxyGate else { return try serve(connection.peer, connection, over: connection, hasToEnd) }
        guard let arrival = try gate.open(connection) else { return }
        let client = arrival.header?.ends?.source ?? connection.peer
        if let header = arrival.header { log.proxied(header, by: connection.peer) }
        try admitting(client, of: connection, gate) {
            let stream = GuardedStream(connection, client, arrival, gate)
            // TLS is faster over a connection, and no header is the beginning of TLS.
            let isPlain = tls != nil && arrival.received.isEmpty
            do { try serve(client, connection, over: isPlain ? connection : stream, hasToEnd) } catch {
                throw client == connection.peer ? error : ProxiedFailure(error: error, client: client)
            }
        }
    }

    private var proxyGate: ProxyGate? {
        let settings = live.now
        if settings.proxy.mode == .off { return nil }
        return ProxyGate(settings: settings.proxy, timeout: settings.proxyTimeout, counters: counters)
    }

    /// Counts a client, which the accept loop has left to this where the other end is a proxy.
    private func admitting(
        _ client: SocketAddress, of connection: Connection, _ gate: ProxyGate, _ body: () throws -> Void
    ) throws {
        guard let clients, gate.settings.trusted.contains(connection.peer) else { return try body() }
        if let refusal = clients.admit(client) {
            counters.add(to: Counter(refusal))
            throw ClientFailure(refusal, peer: connection.peer, client: client)
        }
        defer { clients.leave(client) }
        try body()
    }

    private func serve(
        _ client: SocketAddress, _ connection: Connection, over stream: any PeerStream, _ hasToEnd: () -> Bool
    ) throws {
        let fault = live.faults?.next(for: client)
        if let fault, refuses(connection, fault) { return }
        guard let tls else {
            _ = try handle(stream, fault, on: connection)
            return
        }
        try serve(stream, securedBy: tls, fault, on: connection) { connection.endsReceivingItself || hasToEnd() }
    }

    private func serve(
        _ stream: any PeerStream, securedBy tls: ServerTLS, _ fault: Fault?, on connection: Connection,
        _ hasToEnd: () -> Bool
    ) throws {
        let stream = try shakeHands(stream, tls)
        do {
            if try handle(stream, fault, on: connection) { return }
        } catch let error as TLSError {
            guard case .truncated = error.reason, hasToEnd() else { throw error }
        }
        // The client learns that it has got all.  One that has gone meanwhile was answered.
        do throws(TLSError) { try stream.shutdownSending(until: .after(settings.writeTimeout)) } catch {
            if error.waitError != nil { throw error }
        }
    }

    /// Serves what lies under no further step.  Returns whether the client was sent an end already, by a fault.
    private func handle(_ stream: some PeerStream, _ fault: Fault?, on connection: Connection) throws -> Bool {
        guard let fault else {
            try handle(stream)
            return false
        }
        let faulty = FaultyStream(stream, on: connection, fault, counters)
        try handle(faulty)
        return faulty.isOver
    }

    private func handle(_ stream: some PeerStream) throws {
        let settings = settings
        if settings.services.service == .echo { return try handler.serve(stream) }
        try SmallServiceHandler(settings, counters).serve(stream)
    }

    private func shakeHands(_ connection: any PeerStream, _ tls: ServerTLS) throws -> TLSConnection {
        let context = tls.current(onFailure: { log.certificateNotRead($0) })
        do throws(TLSError) {
            let stream = try TLSConnection(connection, context)
            try stream.handshake(until: .after(settings.handshakeTimeout))
            counters.add(to: .tlsHandshakes)
            return stream
        } catch {
            counters.add(to: .tlsFailures)
            throw error
        }
    }

    /// What the server asks of a connection, by a shutdown of its socket.
    enum Request {
        case finishReceiving, cancel
    }

    /// Serves a connection from its first byte to its last, on an OS thread without a hub: the socket blocks.  Returns the connection, still
    /// open.  Calls `request` once the handler has ended.
    func serve(
        _ descriptor: Int32, _ peer: SocketAddress, request: () -> Request?
    ) -> (Connection, ConnectionEnd) {
        let connection = Connection(blocking: descriptor, peer: peer, receiveBufferSize: live.now.bufferSize)
        do {
            try serve(connection, hasToEnd: { request() == .finishReceiving })
            if request() == .finishReceiving { connection.linger(within: StreamServer.grace / 2) }
            return (connection, .done)
        } catch {
            if request() == .cancel { return (connection, .cancelled) }
            log.connectionFailed(error)
            return (connection, ConnectionEnd(error))
        }
    }
}
