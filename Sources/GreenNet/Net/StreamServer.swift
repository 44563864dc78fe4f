/// Accepts connections and runs `handler` for each, on a green thread of its own.
///
///     let server = StreamServer(try Listener(on: address)) { connection in
///         while let bytes = try connection.receive() { try connection.sendAll(bytes) }
///     }
///     server.start()
///     try Hub.current.run()
///
/// The connection is closed when its handler returns or throws; what it throws ends that connection and nothing else.
/// Belongs to the OS thread that made it.
public final class StreamServer {
    /// Where it accepts.
    public let listeners: [Listener]
    private let handler: (Connection) throws -> Void
    private var acceptors: [Greenlet<Void>] = []

    /// Connections that are being served.
    public private(set) var openConnections = 0
    /// Those who wait until there are none.
    private let emptied = UnsafeMutablePointer<WaitQueue>.allocate(capacity: 1)

    /// Told what happens to the accept loops.  Must not wait.
    public var onAcceptEvent: (AcceptEvent, Listener) -> Void = { _, _ in }
    /// Told of every handler that threw, save those that were cancelled.  Must not wait.
    public var onConnectionFailure: (Connection, any Error) -> Void = { _, _ in }

    /// How long `drain` waits, after its deadline, for what was received to be answered.
    static let grace = Duration.seconds(1)

    /// Takes over `listeners`; accepts nothing before `start()`.
    public init(_ listeners: Listener..., handler: @escaping (Connection) throws -> Void) {
        self.listeners = listeners
        self.handler = handler
        emptied.initialize(to: WaitQueue())
    }

    deinit { emptied.deallocate() }

    // MARK: Accepting

    /// Begins to accept.  Never waits.
    public func start() {
        precondition(acceptors.isEmpty, "the server was started before")
        acceptors = listeners.map { listener in
            spawn(name: "accept \(listener.address)") { [unowned self] in
                var loop = acceptLoop(listener)
                try loop.run()
            }
        }
    }

    /// Serves what the kernel has queued already and closes the listeners.  Open connections go on.  Never waits.
    public func stopAccepting() {
        for acceptor in acceptors { acceptor.kill() }
        acceptors = []
        for listener in listeners where !listener.socket.pointee.isClosed {
            var loop = acceptLoop(listener)
            loop.acceptQueued()
            listener.close()
        }
    }

    private func acceptLoop(_ listener: Listener) -> AcceptLoop {
        AcceptLoop(listener) { [unowned self] connection in
            try serve(connection)
        } report: { [unowned self] event in
            onAcceptEvent(event, listener)
        }
    }

    // MARK: Serving

    private func serve(_ connection: Connection) throws(SpawnError) {
        try Hub.currentThread.hub.start(ServedConnection(connection, of: self))
        openConnections += 1
    }

    fileprivate func run(_ served: ServedConnection) {
        let connection = served.connection
        do {
            try handler(connection)
            if connection.socket.pointee.endsWhenEmpty { linger(connection) }
        } catch {
            if !served.isKilled { onConnectionFailure(connection, error) }
        }
        connection.close()
        openConnections -= 1
        if openConnections == 0 { emptied.wakeAll() }
    }

    /// A close with unread bytes would reset the connection, and take with it what is still on its way to the client.
    private func linger(_ connection: Connection) {
        try? connection.shutdownSending()
        connection.socket.pointee.endsWhenEmpty = false
        let deadline = Deadline.after(StreamServer.grace / 2)
        while (try? connection.receive(until: deadline)) != nil {}
    }

    // MARK: Stopping

    /// Stops accepting and waits until every client is done, or until `deadline`; then lets each connection answer what it has received
    /// and end.  One that can't within a second more, because its client does not read, is cancelled.
    public func drain(until deadline: Deadline) throws(WaitError) {
        stopAccepting()
        if try waitUntilEmpty(until: deadline) { return }
        for served in servedConnections { served.connection.finishReceiving() }
        if try waitUntilEmpty(until: .after(StreamServer.grace)) { return }
        try stop()
    }

    /// Stops accepting and cancels every connection; returns when all have unwound.
    public func stop() throws(WaitError) {
        stopAccepting()
        for served in servedConnections { served.kill() }
        _ = try waitUntilEmpty(until: .never)
    }

    private func waitUntilEmpty(until deadline: Deadline) throws(WaitError) -> Bool {
        let thread = Hub.currentThread
        while openConnections > 0 {
            switch thread.error(after: thread.wait(for: .event, until: deadline, in: emptied)) {
            case nil: continue
            case .deadlinePassed: return openConnections == 0
            case let error?: throw error
            }
        }
        return true
    }

    private var servedConnections: [ServedConnection] {
        Hub.currentThread.hub.living.compactMap { $0 as? ServedConnection }.filter { $0.server === self }
    }
}

@available(*, unavailable)
extension StreamServer: Sendable {}

/// The green thread of one connection.
private final class ServedConnection: AnyGreenlet {
    let connection: Connection
    let server: StreamServer

    init(_ connection: Connection, of server: StreamServer) {
        (self.connection, self.server) = (connection, server)
        super.init(name: nil)
    }

    override func run() { server.run(self) }
}
