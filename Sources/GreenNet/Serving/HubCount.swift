/// On how many hubs a `StreamServer` serves its connections, each hub on an OS thread of its own.
public enum HubCount: Hashable, Sendable {
    /// This many hubs: 1 to 1024.
    case count(Int)
    /// A hub for each processor that the calling OS thread may run on (`taskset` and cpusets restrict it), 1024 at most.
    case perCore

    static let range = 1...1024

    /// Stops the program where it is out of range.
    package var number: Int {
        switch self {
        case .perCore: return min(LinuxCalls.processorCount, HubCount.range.upperBound)
        case .count(let count):
            require(HubCount.range.contains(count), "a server on \(count) hubs: it takes 1 to 1024")
            return count
        }
    }
}

extension StreamServer {
    /// Listens on each of `addresses`, and serves the connections on `hubs` further OS threads, so that all processors work.
    ///
    ///     let server = try StreamServer(on: .loopback(port: 8080), hubs: .perCore) { connection in
    ///         while let bytes = try connection.receive() { try connection.sendAll(bytes) }
    ///     }
    ///     try server.run()
    ///
    /// The hub of the calling OS thread accepts, and hands each connection to the hub that serves the fewest.  `handler` runs there, on a green thread of its own,
    /// and so does `onFailure`; all other calls are made on the calling OS thread, to which the server belongs.  `limit` counts the connections of all hubs.
    /// `run`, `drain` and `stop` end the hubs too: green threads that a handler has spawned and that have not ended are killed then.
    ///
    /// Where a hub has no stack for a connection, the connection is closed, and reported to `onAcceptEvent` and `onEnd`.  Where a hub ends, because a handler
    /// has called `stopServing` of its hub, its connections are cancelled and `onAcceptEvent` is told at the next connection; the other hubs go on.
    ///
    /// Otherwise as the other `init(on:)`.  Throws also where the system has no OS thread, descriptor or memory for the hubs.  See <doc:SeveralCores>.
    public convenience init(
        on addresses: SocketAddress..., hubs: HubCount, limit: Int = .max, overflow: Overflow = .defer,
        stackSize: Int? = nil, onFailure: @escaping @Sendable (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping @Sendable (Connection) throws -> Void
    ) throws(NetError) {
        require(!addresses.isEmpty, "a server without an address")
        let listeners = try addresses.map { address throws(NetError) in try Listener(on: address) }
        try self.init(
            listeners, hubs: hubs, admission: LocalAdmission(places: limit), overflow: overflow, stackSize: stackSize,
            onFailure: onFailure, handler: handler)
    }

    /// Takes over `listeners`, of any kind: unix sockets, sockets with options of their own, sockets that were passed in (`Listener.init(_:ownsPath:)`).  Else as
    /// `init(on:hubs:)`.
    public convenience init(
        _ listeners: Listener..., hubs: HubCount, limit: Int = .max, overflow: Overflow = .defer,
        stackSize: Int? = nil, onFailure: @escaping @Sendable (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping @Sendable (Connection) throws -> Void
    ) throws(NetError) {
        try self.init(
            listeners, hubs: hubs, admission: LocalAdmission(places: limit), overflow: overflow, stackSize: stackSize,
            onFailure: onFailure, handler: handler)
    }

    /// Takes over `listeners`, and serves the connections that `admission` admits, which is called on the calling OS thread.  Else as `init(on:hubs:)`.
    public convenience init(
        _ listeners: [Listener], hubs: HubCount, admission: any Admission, overflow: Overflow = .defer,
        stackSize: Int? = nil, onFailure: @escaping @Sendable (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping @Sendable (Connection) throws -> Void
    ) throws(NetError) {
        require(!listeners.isEmpty, "a server without a listener")
        let model: HubsModel
        do throws(SystemError) {
            model = try HubsModel(
                hubs: hubs.number, stackSize: stackSize, handler: handler, onFailure: onFailure)
        } catch {
            throw NetError(.threadCreate, .system(error), listeners[0].address)
        }
        self.init(listeners, model: model, admission: admission, overflow: overflow)
    }
}
