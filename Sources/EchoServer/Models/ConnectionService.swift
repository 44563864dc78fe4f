import GreenNet

/// What an OS thread or a child process needs to serve connections: it has no hub, so its sockets block.
struct BlockingContext: Sendable {
    private let live: LiveSettings
    private let log: ServerLog
    private let counters: CounterRow

    init(_ live: LiveSettings, _ log: ServerLog, _ counters: CounterRow) {
        (self.live, self.log, self.counters) = (live, log, counters)
    }

    /// For a connection that begins now.
    var handler: EchoHandler {
        let settings = live.now
        return EchoHandler(
            transform: settings.transform, idleTimeout: settings.idleTimeout, writeTimeout: settings.writeTimeout,
            counters: counters, onReceive: log.payloadTracer)
    }

    /// What the server has asked of a connection, by shutting its socket down.
    enum Request {
        case finishReceiving, cancel
    }

    /// From the first byte to the last.  The connection comes back open.  `request` is looked at when the handler has ended.
    func serve(
        _ descriptor: Int32, _ peer: SocketAddress, request: () -> Request?
    ) -> (Connection, ConnectionEnd) {
        let connection = Connection(blocking: descriptor, peer: peer, receiveBufferSize: live.now.bufferSize)
        do throws(NetError) {
            try handler.serve(connection)
            if request() == .finishReceiving { connection.lingerOffHub(within: StreamServer.grace / 2) }
            return (connection, .done)
        } catch {
            if request() == .cancel { return (connection, .cancelled) }
            log.connectionFailed(error)
            return (connection, ConnectionEnd(error))
        }
    }
}
