import Glibc
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
    /// The memory of the counters, where a fork server is to have it.
    let passed: PassedMemory?
    /// The process of the hub whose OS thread serves the connections; nil where others serve them.
    private let hubProcess: pid_t?

    init(
        _ live: LiveSettings, _ log: ServerLog, _ counters: CounterRow, _ clients: ClientAdmission? = nil,
        onHub: Bool = false, passed: PassedMemory? = nil
    ) {
        (self.live, self.log, self.counters, self.clients) = (live, log, counters, clients)
        self.passed = passed
        hubProcess = onHub ? getpid() : nil
    }

    /// For a process that serves one connection: its parent settles `note` when it has died.
    func noting(in note: CrashNote) -> ConnectionService {
        var service = self
        service.clients = clients?.noting(in: note)
        return service
    }

    /// Whether a connection may be counted by its own process.
    var countsClients: Bool { clients != nil && live.looksForProxies }

    /// The handler for a connection that begins now, with the settings of its place.
    var handler: EchoHandler {
        @inline(never) get { handler(place == nil ? live.changing : settings.live) }  // as `plainHandler`
    }

    /// As the log and records have it.
    private var model: ModelKind { live.model }

    private func handler(_ settings: Settings.Live) -> EchoHandler {
        EchoHandler(
            transform: settings.transform, idleTimeout: settings.idleTimeout, writeTimeout: settings.writeTimeout,
            counters: counters, onReceive: settings.logLevel <= .trace ? log.payloadTracer : nil)
    }

    /// The handler of a connection of which nothing else is asked; nil where more is.
    var plainHandler: EchoHandler? {
        // Out of line: the settings would lie on the stack of each connection.
        @inline(never) get { plainSettings.map { handler($0) } }
    }

    private var plainSettings: Settings.Live? {
        guard let settings = live.plain, settings.transform.isInPlace else { return nil }
        return settings
    }

    /// The settings of a connection that another program can serve: nothing else is asked of it, and the log does not show what it receives.
    var bareSettings: Settings.Live? {
        guard let settings = plainSettings, settings.logLevel > .trace, !countsClients else { return nil }
        return settings
    }

    /// Makes the types whose values `serve` makes and destroys, as Swift's runtime does at their first use.  Each forked child would otherwise do so for
    /// itself, which took 6 % of the time of a connection with one message.
    func prepareForChildren() { _ = plainHandler }

    /// A pool has `size` contexts, which are `change` more than before.
    @Sendable
    func poolChanged(to size: Int, by change: Int) {
        counters.add(change, to: .poolExtra)
        log.poolChanged(to: size)
    }

    /// Serves a connection of a hub from its first byte to its last: by the handler alone, which the caller has kept, unless the settings ask for more.
    @inline(__always)
    func serve(_ connection: Connection, by plainHandler: EchoHandler?) throws {
        if let handler = plainHandler {
            return try connection.restingWhenIdle(for: .seconds(5)) { try handler.serve(connection) }
        }
        try serveWithMore(connection, { nil })
    }

    /// `request` is what the server asks of the connection by a shutdown of its socket.
    @inline(never)
    private func serveWithMore(_ connection: Connection, _ request: @escaping () -> Request?) throws {
        guard let recorded = recorded(connection) else { return try serveRecorded(connection, request) }
        try connection.restingWhenIdle(
            for: .seconds(5),
            atEnd: { recorded.ended($0 != .done && request() == .cancel ? .cancelled : $0) },
            { try recorded.serve() })
    }

    /// Nil where a connection has no record, or where more is asked of it.
    @inline(never)  // as `plainHandler`
    private func recorded(_ connection: Connection) -> RecordedConnection? {
        guard let handler = recordedHandler, let writer = recordWriter else { return nil }
        return RecordedConnection(connection, handler, writer)
    }

    private var recordedHandler: EchoHandler? {
        @inline(never) get {
            guard let settings = live.recorded, settings.transform.isInPlace else { return nil }
            return handler(settings)
        }
    }

    private var recordWriter: RecordWriter? {
        @inline(never) get { live.records.map { writer($0) } }
    }

    private func writer(_ records: RecordSink) -> RecordWriter {
        RecordWriter(records: records, live: live, counters: counters, model: live.modelName, hubProcess: hubProcess)
    }

    /// With the settings of the place at which the connection was accepted.
    @inline(never)
    private func serveRecorded(_ connection: Connection, _ request: @escaping () -> Request?) throws {
        let service = at(connection)
        guard let records = live.records else { return try service.serveInSteps(connection, nil, request) }
        let tally = ConnectionTally(connection)
        var end = ConnectionEnd.done
        let writer = service.writer(records)
        defer { writer(tally.record(end, writer)) }
        do { try service.serveInSteps(connection, tally, request) } catch {
            end = request() == .cancel ? .cancelled : ConnectionEnd(error)
            throw error
        }
    }

    /// Writes the record of a child process that was killed and could not write it.
    func recordLost(_ child: pid_t, _ peer: SocketAddress, since begin: ConnectionTally.Begin, _ end: ConnectionEnd) {
        guard let records = live.records else { return }
        let writer = writer(records)
        writer(
            ConnectionRecord(
                start: begin.time, from: begin.moment, until: .now, peer: peer, model: writer.model, pid: child,
                end: end))
    }

    /// The header of a proxy, TLS, the banner, the handler: in this order.
    private func serveInSteps(
        _ connection: Connection, _ tally: ConnectionTally?, _ request: @escaping () -> Request?
    ) throws {
        let visit = Visit(connection: connection, tally: tally, request: request)
        guard let gate = proxyGate else { return try serve(connection, visit) }
        guard let arrival = try gate.open(connection) else { return }
        let client = arrival.header?.ends?.source ?? connection.peer
        tally?.client = client
        if let header = arrival.header { log.proxied(header, by: connection.peer) }
        try admitting(client, of: connection, gate) {
            let stream = GuardedStream(connection, client, arrival, gate)
            // TLS is faster over a connection, and no header is the beginning of TLS.
            let isPlain = tls != nil && arrival.received.isEmpty
            do { try serve(isPlain ? connection : stream, Visit(visit, client)) } catch {
                throw client == connection.peer ? error : ProxiedFailure(error: error, client: client)
            }
        }
    }

    private var proxyGate: ProxyGate? {
        @inline(never) get {  // as `plainHandler`
            if !live.looksForProxies { return nil }
            let settings = live.now
            return ProxyGate(settings: settings.proxy, timeout: settings.proxyTimeout, counters: counters)
        }
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

    /// What the steps of one connection have in common.
    private struct Visit {
        let connection: Connection
        /// The client behind a proxy, or else the other end of the connection.
        let client: SocketAddress
        let tally: ConnectionTally?
        let request: () -> Request?

        init(connection: Connection, tally: ConnectionTally?, request: @escaping () -> Request?) {
            (self.connection, client, self.tally, self.request) = (connection, connection.peer, tally, request)
        }

        init(_ visit: Visit, _ client: SocketAddress) {
            (connection, self.client, tally, request) = (visit.connection, client, visit.tally, visit.request)
        }

        /// Whether the end of the stream is the server's doing.
        var hasToEnd: Bool { connection.endsReceivingItself || request() == .finishReceiving }
    }

    private func serve(_ stream: any PeerStream, _ visit: Visit) throws {
        let fault = live.faults?.next(for: visit.client)
        if let fault, refuses(visit.connection, fault) { return }
        guard let tls else {
            _ = try handle(stream, fault, visit)
            return
        }
        try serve(stream, securedBy: tls, fault, visit)
    }

    private func serve(
        _ stream: any PeerStream, securedBy tls: ServerTLS, _ fault: Fault?, _ visit: Visit
    ) throws {
        let stream = try shakeHands(stream, tls)
        visit.tally?.tls = stream.facts.version
        do {
            if try handle(stream, fault, visit) { return }
        } catch let error as TLSError {
            guard case .truncated = error.reason, visit.hasToEnd else { throw error }
        }
        // The client learns that it has got all.  One that has gone meanwhile was answered.
        do throws(TLSError) { try stream.shutdownSending(until: .after(settings.writeTimeout)) } catch {
            if error.waitError != nil { throw error }
        }
    }

    /// Serves what lies under no further step.  Returns whether the client was sent an end already, by a fault.
    private func handle(_ stream: some PeerStream, _ fault: Fault?, _ visit: Visit) throws -> Bool {
        guard let fault else {
            try greet(stream, visit)
            return false
        }
        let faulty = FaultyStream(stream, on: visit.connection, fault, counters)
        try greet(faulty, visit)
        return faulty.isOver
    }

    private func greet(_ stream: any PeerStream, _ visit: Visit) throws {
        let stream: any PeerStream = visit.tally.map { TalliedStream(stream, $0) as any PeerStream } ?? stream
        if let banner = banner(for: visit) { try handler.send(banner, on: stream) }
        guard let transform else { return try serveSmall(stream) }
        try serve(stream, transform, for: visit.client)
    }

    @inline(never)  // as `plainHandler`
    private func banner(for visit: Visit) -> [UInt8]? {
        live.banner?.bytes(for: visit.connection.peer, visit.client, model)
    }

    /// Nil where the service is another one than echo.
    private var transform: Transform? {
        @inline(never) get {  // as `plainHandler`
            if let place {
                let settings = place.settings(live.now)
                return settings.services.service == .echo ? settings.transform : nil
            }
            return live.service == .echo ? live.changing.transform : nil
        }
    }

    @inline(never)
    private func serveSmall(_ stream: any PeerStream) throws {
        try SmallServiceHandler(settings, handler).serve(stream)
    }

    /// By the handler that the transform needs.
    private func serve(_ stream: any PeerStream, _ transform: Transform, for client: SocketAddress) throws {
        switch transform {
        case .upper, .echo, .lower, .rot13: try handler.serve(stream)
        case .discard: try DiscardHandler(handler: handler).serve(stream)
        case .reverse: try LineHandler(handler: handler, answer: LineHandler.reversed).serve(stream)
        case .whoami:
            let answer = Array("\(client) \(model) \(getpid())\n".utf8)
            try LineHandler(handler: handler) { _ in answer }.serve(stream)
        }
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
        _ descriptor: Int32, _ peer: SocketAddress, request: @escaping () -> Request?
    ) -> (Connection, ConnectionEnd) {
        serve(descriptor, peer, by: plainHandler, onStack: false, request: request)
    }

    /// The same, where the caller has kept `plainHandler`.  With `onStack`, the OS thread's stack has room for a buffer, and for a message little else is touched.
    func serve(
        _ descriptor: Int32, _ peer: SocketAddress, by plainHandler: EchoHandler?, onStack: Bool,
        request: @escaping () -> Request?
    ) -> (Connection, ConnectionEnd) {
        let connection = Connection(blocking: descriptor, peer: peer, receiveBufferSize: live.bufferSize)
        do {
            if let plainHandler {
                try plainHandler.serveBlocking(connection, onStack: onStack)
            } else {
                try serveWithMore(connection, request)
            }
            if request() == .finishReceiving { connection.linger(within: StreamServer.grace / 2) }
            return (connection, .done)
        } catch {
            if request() == .cancel { return (connection, .cancelled) }
            log.connectionFailed(error)
            return (connection, ConnectionEnd(error))
        }
    }
}
