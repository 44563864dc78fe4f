import Glibc

/// How a connection gets a context of its own: a green thread, an OS thread, a process.
///
/// All else about serving (accepting, limits, draining, counting) is the same for every model, and is `StreamServer`'s.  Each connection that
/// was started is reported to `StreamServer.connectionEnded` once, on the server's hub.
package protocol ConnectionModel: AnyObject {
    /// Whether the sockets shall block: outside green threads they do, and waiting is the kernel's.
    var socketsBlock: Bool { get }
    /// What a context is had from, for the log where it can't be.
    var contextCall: NetError.Call { get }
    /// Gives `socket` its context, and tells the server with `connectionStarted`.  Throws where the system has none left; the socket is
    /// closed then.
    func start(_ socket: consuming Accepted, for server: StreamServer) throws
    /// Tells every connection that the server is being drained: one that is idle may end now.
    func beginDraining()
    /// Lets every connection answer what it has received, and end.
    func finishReceiving()
    /// Ends every connection, as soon as it notices.
    func cancel()
}

extension ConnectionModel {
    /// A blocking socket has no idle waits that could be ended alone.
    package func beginDraining() {}
}

/// How a connection ended, for the counters.
package enum ConnectionEnd: UInt8, CaseIterable, Sendable {
    /// Both sides had nothing left to say.
    case done
    /// The client reset the connection, or the network lost it.
    case peerGone = 1
    /// The client sent nothing for too long.
    case idle = 2
    /// The client did not read for too long.
    case slow = 3
    /// The server ended it.
    case cancelled = 4
    /// Anything else.
    case failed = 5
    /// Its process died.
    case crashed = 6

    package init(_ error: any Error) {
        guard let error = error as? NetError else {
            self = .failed
            return
        }
        switch (error.waitError, error.call) {
        case (.deadlinePassed, .recv): self = .idle
        case (.deadlinePassed, _): self = .slow
        case (_?, _): self = .cancelled
        case (nil, _): self = error.isPeerGone ? .peerGone : .failed
        }
    }
}

// MARK: - Green threads

/// A green thread for each connection, on the server's hub.
package final class GreenModel: ConnectionModel {
    fileprivate let handler: (Connection) throws -> Void
    fileprivate let onFailure: (Connection, any Error) -> Void

    /// `onFailure` is told of what a handler threw, unless the server itself has ended that connection.
    package init(
        handler: @escaping (Connection) throws -> Void, onFailure: @escaping (Connection, any Error) -> Void
    ) {
        (self.handler, self.onFailure) = (handler, onFailure)
    }

    package var socketsBlock: Bool { false }
    package var contextCall: NetError.Call { .mmap }

    package func start(_ socket: consuming Accepted, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = Connection(descriptor: socket.releaseDescriptor(), peer: peer)
        if server.isDraining { connection.beginDraining() }
        do {
            try Hub.currentThread.hub.start(ServedConnection(connection, for: server))
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
        Hub.currentThread.hub.living.compactMap { $0 as? ServedConnection }.filter { $0.model === self }
    }
}

/// The green thread of one connection.
private final class ServedConnection: AnyGreenlet {
    let connection: Connection
    private let server: StreamServer

    init(_ connection: Connection, for server: StreamServer) { (self.connection, self.server) = (connection, server) }

    /// The server's own, which has made this.
    var model: GreenModel { unsafeDowncast(server.model, to: GreenModel.self) }

    override func run() {
        let end = serve()
        connection.close()
        server.connectionEnded(connection.peer, end)
    }

    private func serve() -> ConnectionEnd {
        do {
            try model.handler(connection)
            if connection.isDraining || connection.socket.pointee.endsWhenEmpty { linger() }
            return .done
        } catch {
            if isKilled { return .cancelled }
            model.onFailure(connection, error)
            return ConnectionEnd(error)
        }
    }

    /// A close with unread bytes would reset the connection, and take with it what is still on its way to the client.
    private func linger() {
        try? connection.shutdownSending()
        connection.socket.pointee.endsWhenEmpty = false
        let deadline = Deadline.after(StreamServer.grace / 2)
        while let bytes = try? connection.receive(until: deadline), !bytes.isEmpty {}
    }
}
