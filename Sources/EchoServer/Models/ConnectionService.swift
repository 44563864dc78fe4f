import GreenNet

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
        do throws(NetError) {
            try handler.serve(connection)
            if request() == .finishReceiving { connection.linger(within: StreamServer.grace / 2) }
            return (connection, .done)
        } catch {
            if request() == .cancel { return (connection, .cancelled) }
            log.connectionFailed(error)
            return (connection, ConnectionEnd(error))
        }
    }
}
