/// A green thread for each connection, on the server's hub.
package final class GreenModel: ConnectionModel {
    let service: GreenService

    /// `stackSize` is that of each connection's green thread, as for `spawn`.  `onFailure` is called with what a handler threw, unless the server itself has ended that connection.
    package init(
        stackSize: Int? = nil, handler: @escaping (Connection) throws -> Void,
        onFailure: @escaping (Connection, any Error) -> Void
    ) {
        service = GreenService(stackSize: stackSize, handler: handler, onFailure: onFailure)
    }

    package var socketsBlock: Bool { false }
    package var contextCall: NetError.Call { .mmap }

    package func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = Connection(descriptor: socket.releaseDescriptor(), peer: peer)
        if server.isDraining { connection.beginDraining() }
        try service.start(LocalConnection(connection, for: server))
        server.connectionStarted()
    }

    package func beginDraining() { service.beginDraining() }
    package func finishReceiving() { service.finishReceiving() }
    package func cancel() { service.cancel() }
    package func serverEnded() throws(WaitError) { try service.serverEnded() }
}

/// A connection on its server's own hub.
private final class LocalConnection: ServedConnection {
    private let server: StreamServer

    init(_ connection: Connection, for server: StreamServer) {
        self.server = server
        super.init(connection)
    }

    /// The server's model has made this object.
    override var service: GreenService { unsafeDowncast(server.model, to: GreenModel.self).service }

    override func ended(_ end: ConnectionEnd) { server.connectionEnded(connection.peer, end) }
}
