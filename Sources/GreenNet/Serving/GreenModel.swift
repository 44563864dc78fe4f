/// A green thread for each connection, on the server's hub.
package final class GreenModel: ConnectionModel {
    fileprivate let handler: (Connection) throws -> Void
    fileprivate let onFailure: (Connection, any Error) -> Void
    private let stackSize: Int?

    /// `stackSize` is that of each connection's green thread, as for `spawn`.  `onFailure` is called with what a handler threw, unless the server itself has ended that connection.
    package init(
        stackSize: Int? = nil, handler: @escaping (Connection) throws -> Void,
        onFailure: @escaping (Connection, any Error) -> Void
    ) {
        if let stackSize { StackClass.check(stackSize) }
        (self.stackSize, self.handler, self.onFailure) = (stackSize, handler, onFailure)
    }

    package var socketsBlock: Bool { false }
    package var contextCall: NetError.Call { .mmap }

    package func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = Connection(descriptor: socket.releaseDescriptor(), peer: peer)
        if server.isDraining { connection.beginDraining() }
        do {
            try Hub.currentThread.scheduler.start(
                ServedConnection(connection, for: server), on: StackClass(stackSize), inheriting: true)
        } catch {
            connection.close()
            throw error
        }
        server.connectionStarted()
    }

    package func beginDraining() {
        for served in servedConnections { served.connection.beginDraining() }
    }

    package func finishReceiving() {
        for served in servedConnections { served.connection.finishReceiving() }
    }

    package func cancel() {
        for served in servedConnections { served.kill() }
    }

    private var servedConnections: [ServedConnection] {
        Hub.currentThread.scheduler.living.compactMap { $0 as? ServedConnection }.filter { $0.model === self }
    }
}

/// The green thread of one connection.
private final class ServedConnection: AnyGreenlet {
    let connection: Connection
    private let server: StreamServer

    init(_ connection: Connection, for server: StreamServer) { (self.connection, self.server) = (connection, server) }

    /// The server's, which has made this object.
    var model: GreenModel { unsafeDowncast(server.model, to: GreenModel.self) }

    override func run() {
        let end = serve()
        connection.close()
        server.connectionEnded(connection.peer, end)
    }

    private func serve() -> ConnectionEnd {
        do {
            try model.handler(connection)
            if connection.isDraining || connection.socket.endsWhenEmpty { linger() }
            return .done
        } catch {
            if isKilled { return .cancelled }
            model.onFailure(connection, error)
            return ConnectionEnd(error)
        }
    }

    private func linger() {
        connection.socket.endsWhenEmpty = false
        connection.linger(within: StreamServer.grace / 2)
    }
}
