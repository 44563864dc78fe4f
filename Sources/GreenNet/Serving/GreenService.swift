/// What is done with the connections of a server on one hub: each has a green thread of its own there.
final class GreenService {
    fileprivate let handler: (Connection) throws -> Void
    fileprivate let onFailure: (Connection, any Error) -> Void
    private let stackSize: Int?

    init(
        stackSize: Int?, handler: @escaping (Connection) throws -> Void,
        onFailure: @escaping (Connection, any Error) -> Void
    ) {
        if let stackSize { StackClass.check(stackSize) }
        (self.stackSize, self.handler, self.onFailure) = (stackSize, handler, onFailure)
    }

    /// Throws where there is no stack for the green thread; the connection is closed then.
    func start(_ served: ServedConnection) throws(SpawnError) {
        do throws(SpawnError) {
            try Hub.currentThread.scheduler.start(served, on: StackClass(stackSize), inheriting: true)
        } catch {
            served.connection.close()
            throw error
        }
    }

    // As the calls of `ConnectionModel`, for the connections of this hub.

    func beginDraining() { for served in served { served.connection.beginDraining() } }
    func finishReceiving() { for served in served { served.connection.finishReceiving() } }
    func cancel() { for served in served { served.kill() } }

    private var served: [ServedConnection] {
        Hub.currentThread.scheduler.living.compactMap { $0 as? ServedConnection }.filter { $0.service === self }
    }
}

/// The green thread of one connection.
class ServedConnection: AnyGreenlet {
    final let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    /// The one that it belongs to.
    var service: GreenService { programmingError("a connection without a service") }

    /// Called once, after the connection was closed.
    func ended(_ end: ConnectionEnd) {}

    final override func run() {
        let end = serve()
        connection.close()
        ended(end)
    }

    private func serve() -> ConnectionEnd {
        let service = service
        do {
            try service.handler(connection)
            if connection.isDraining || connection.socket.endsWhenEmpty { linger() }
            return .done
        } catch {
            if isKilled { return .cancelled }
            service.onFailure(connection, error)
            return ConnectionEnd(error)
        }
    }

    private func linger() {
        connection.socket.endsWhenEmpty = false
        connection.linger(within: StreamServer.grace / 2)
    }
}
