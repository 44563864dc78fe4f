import GreenNet
import GreenTLS

/// What a model needs to serve connections: the handler with the settings of now, the counters, the log.
struct ConnectionService: Sendable {
    private let live: LiveSettings
    let log: ServerLog
    private let counters: CounterRow

    init(_ live: LiveSettings, _ log: ServerLog, _ counters: CounterRow) {
        (self.live, self.log, self.counters) = (live, log, counters)
    }

    /// The handler for a connection that begins now.
    var handler: EchoHandler {
        let settings = live.now
        return EchoHandler(
            transform: settings.transform, idleTimeout: settings.idleTimeout, writeTimeout: settings.writeTimeout,
            counters: counters, onReceive: log.payloadTracer)
    }

    /// Serves a connection from its first byte to its last, with TLS where the settings ask for it.  `hasToEnd` says whether the server has ended receiving from
    /// it by a shutdown of the socket.
    @inline(__always)
    func serve(_ connection: Connection, hasToEnd: () -> Bool = { false }) throws {
        guard let tls = live.tls else { return try handler.serve(connection) }
        try serve(connection, over: tls, hasToEnd)
    }

    @inline(never)
    private func serve(_ connection: Connection, over tls: ServerTLS, _ hasToEnd: () -> Bool) throws {
        let stream = try shakeHands(connection, tls)
        do { try handler.serve(stream) } catch let error as TLSError {
            guard case .truncated = error.reason, hasToEnd() else { throw error }
        }
        // The client learns that it has got all.  One that has gone meanwhile was answered.
        do throws(TLSError) { try stream.shutdownSending(until: .after(live.now.writeTimeout)) } catch {
            if error.waitError != nil { throw error }
        }
    }

    private func shakeHands(_ connection: Connection, _ tls: ServerTLS) throws -> TLSConnection {
        let context = tls.current(onFailure: { log.certificateNotRead($0) })
        do throws(TLSError) {
            let stream = try TLSConnection(connection, context)
            try stream.handshake(until: .after(live.now.handshakeTimeout))
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
