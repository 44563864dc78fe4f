import Glibc

/// Accepts connections and runs `handler` for each, on a green thread of its own.
///
///     let server = try StreamServer(on: .loopback(port: 8080)) { connection in
///         while let bytes = try connection.receive() { try connection.sendAll(bytes) }
///     }
///     try server.run()
///
/// The connection is closed when its handler returns or throws; what it throws ends that connection and nothing else.
/// Belongs to the OS thread that made it.
public final class StreamServer: HubObject {
    /// Where it accepts.
    public private(set) var listeners: [Listener]
    package let model: any ConnectionModel
    let admission: any Admission
    private let overflow: Overflow
    var owner = Owner()

    private var acceptors: [Greenlet<Void>] = []
    /// Accept loops that have ended by themselves: their listeners were closed, or have failed.
    private var endedLoops = 0
    /// Why a listener has failed.
    private var listenerFailure: NetError?
    /// `stopAccepting` was called: it is not started again.
    private var hasStoppedAccepting = false
    /// Green threads that wait until the last connection has ended, or for a place.
    private let emptied = WaitQueue.make()
    private let placeFreed = WaitQueue.make()

    /// Whose client was served last.
    @exclusivity(unchecked)
    package internal(set) var acceptingListener: Listener?

    // Unchecked, here and below: each connection changes or calls these, and no access lasts across a call.

    /// Clients that were accepted when the listeners were closed, and wait for a place.
    @exclusivity(unchecked)
    private var pending = Ring<PendingConnection>()
    /// Looks for places for them, while there are some.
    private var pendingKeeper: Greenlet<Void>?

    /// Whether `drain` was called.
    @exclusivity(unchecked)
    public private(set) var isDraining = false

    /// Connections that are being served.
    public var openConnections: Int { startedConnections + model.ownConnections }
    /// Those that this server has accepted and given to the model.
    @exclusivity(unchecked)
    private var startedConnections = 0

    /// Called with what happens in the accept loops.  Must not wait.
    public var onAcceptEvent: (AcceptEvent, Listener) -> Void = { _, _ in }
    /// Called when a connection begins.  Must not wait.
    @exclusivity(unchecked)
    public var onStart: () -> Void = {}
    /// Called when a connection has ended, with how.  Must not wait.
    @exclusivity(unchecked)
    public var onEnd: (ConnectionEnd) -> Void = { _ in }
    /// Called when a client wants to connect, and the process or the system has no descriptor or no memory left for it.  Returns whether it has given some
    /// back; then the server accepts again at once, and not after a pause.  May wait.
    public var makeRoom: (() throws(WaitError) -> Bool)?

    /// How long `drain` waits, after its deadline, for what was received to be answered.
    package static let grace = Duration.seconds(1)

    /// What a server does with a client that connects while the server is full.
    public enum Overflow: String, Sendable {
        /// The client waits in the kernel's queue until another connection ends.
        case `defer`
        /// The connection is closed at once.
        case reject
    }

    /// Listens on each of `addresses`, and serves never more than `limit` connections at once.  Accepts nothing before `run()` or `start()`; clients that
    /// connect before wait in the kernel's queue.
    ///
    /// Port 0 is one that is free: `listeners[0].address` says which.
    /// `stackSize` is that of the green thread of each connection, in bytes, as for `spawn`.
    /// `onFailure` is called with what a handler threw, unless the server has cancelled that connection; it must not wait.
    /// Throws where the kernel refuses an address: EADDRINUSE, say.
    public convenience init(
        on addresses: SocketAddress..., limit: Int = .max, overflow: Overflow = .defer, stackSize: Int? = nil,
        onFailure: @escaping (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping (Connection) throws -> Void
    ) throws(NetError) {
        require(!addresses.isEmpty, "a server without an address")
        let listeners = try addresses.map { address throws(NetError) in try Listener(on: address) }
        let model = GreenModel(stackSize: stackSize, handler: handler, onFailure: onFailure)
        self.init(listeners, model: model, admission: LocalAdmission(places: limit), overflow: overflow)
    }

    /// Takes over `listeners`: sockets with options of their own, or that were passed in (`Listener.init(_:ownsPath:)`).  Else as `init(on:)`.
    public convenience init(
        _ listeners: Listener..., limit: Int = .max, overflow: Overflow = .defer, stackSize: Int? = nil,
        onFailure: @escaping (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping (Connection) throws -> Void
    ) {
        let model = GreenModel(stackSize: stackSize, handler: handler, onFailure: onFailure)
        self.init(listeners, model: model, admission: LocalAdmission(places: limit), overflow: overflow)
    }

    /// Takes over `listeners`, and serves the connections that `admission` admits: for a limit that several servers share, or limits for each peer.
    /// Else as `init(on:)`.
    public convenience init(
        _ listeners: [Listener], admission: any Admission, overflow: Overflow = .defer, stackSize: Int? = nil,
        onFailure: @escaping (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping (Connection) throws -> Void
    ) {
        let model = GreenModel(stackSize: stackSize, handler: handler, onFailure: onFailure)
        self.init(listeners, model: model, admission: admission, overflow: overflow)
    }

    package init(
        _ listeners: [Listener], model: any ConnectionModel, admission: any Admission, overflow: Overflow = .defer
    ) {
        (self.listeners, self.model, self.admission, self.overflow) = (listeners, model, admission, overflow)
    }

    deinit {
        emptied.deallocate()
        placeFreed.deallocate()
    }

    // MARK: Accepting

    /// Starts the server, unless it has been started, and waits until it has been stopped; the other green threads run meanwhile.
    ///
    /// It returns once the server accepts no more connections and the last one has ended.  Three things bring that about: another green thread calls
    /// `drain(until:)`, `stop()` or `stopAccepting()`; a handler, or `onAcceptEvent`, calls `stopAccepting()`; or all `listeners` were closed.  A handler that
    /// throws ends its own connection, and nothing else.
    ///
    /// Throws what the kernel reported where all listeners have failed, after the last connection has ended.  Throws with a `waitError` when the calling
    /// green thread is killed or an enclosing time limit is over; the server goes on then.  Callable from any green thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func run() throws(NetError) {
        checkOwner()
        if acceptors.isEmpty, !hasStoppedAccepting { start() }
        do throws(WaitError) {
            try waitUntilEnded()
            try model.serverEnded()
        } catch {
            throw NetError(.accept, .wait(error), listeners.first?.address)
        }
        if !hasStoppedAccepting, let listenerFailure { throw listenerFailure }
    }

    /// Until it accepts no more connections and the last one has ended.
    func waitUntilEnded() throws(WaitError) {
        let thread = ownThread()
        while !hasEnded {
            if let error = thread.error(after: thread.wait(for: .connections, in: emptied)) { throw error }
        }
    }

    private var hasEnded: Bool { isEmpty && (hasStoppedAccepting || endedLoops == listeners.count) }

    /// Begins to accept, and goes on until it is stopped, also where the program holds no reference to the server.  Never waits.
    public func start() {
        checkOwner()
        require(acceptors.isEmpty, "the server was started before")
        endedLoops = 0
        acceptors = listeners.map { startAccepting(from: $0) }
    }

    /// The green thread keeps the server, until it stops.
    private func startAccepting(from listener: Listener) -> Greenlet<Void> {
        spawn(name: "accept \(listener.address)") {
            var loop = AcceptLoop(listener, of: self)
            try loop.run()
            self.loopEnded()
        }
    }

    /// Accepts from `listener` too, from now on where the server accepts.  A server that has stopped accepting closes it.  Never waits.
    package func add(_ listener: Listener) {
        checkOwner()
        if hasStoppedAccepting { return listener.close() }
        listeners.append(listener)
        if !acceptors.isEmpty { acceptors.append(startAccepting(from: listener)) }
    }

    /// Accepts what the kernel has queued at `listener`, one of `listeners`, and closes it.  The connections that came from there go on, and the server
    /// accepts from the others: there must be one.  What an inherited listener has queued is left to the process that accepts there next.  Never waits.
    package func remove(_ listener: Listener) {
        checkOwner()
        guard let index = listeners.firstIndex(where: { $0 === listener }) else {
            programmingError("remove(\(listener.address)): the server does not accept there")
        }
        require(listeners.count > 1, "remove(\(listener.address)): the server has no other listener")
        listeners.remove(at: index)
        if !acceptors.isEmpty {
            let acceptor = acceptors.remove(at: index)
            if acceptor.hasEnded { endedLoops -= 1 }
            acceptor.kill()
        }
        drain(listener)
    }

    /// A loop that was killed does not come here.
    private func loopEnded() {
        endedLoops += 1
        if hasEnded { emptied.wakeAll() }
    }

    /// Called by the loop whose listener is of no more use.
    func listenerFailed(_ error: NetError, _ listener: Listener) {
        listenerFailure = error
        onAcceptEvent(.stopped(error), listener)
    }

    /// Called by the model where one of its hubs has ended.
    func hubEnded(_ index: Int, isLast: Bool) {
        onAcceptEvent(.hubEnded(index), acceptingListener!)
        guard isLast else { return }
        for listener in listeners where !listener.isClosed {
            listenerFailed(NetError(model.contextCall, .system(SystemError(ESHUTDOWN)), listener.address), listener)
            listener.close()
        }
    }

    /// Accepts no connection from when it returns until the next `start()`; clients that connect meanwhile wait in the kernel's queue.  Open connections go on.
    /// Throws when killed or when an enclosing time limit is over.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func pauseAccepting() throws(WaitError) {
        checkOwner()
        // A listener is free for another loop once its own has ended.
        let ending = acceptors
        _ = try killAll(ending)
        acceptors = []
    }

    /// Accepts in the calling context itself, until a listener is closed or asked to stop: on an OS thread that has no hub.  It accepts one
    /// connection from each listener in turn: the model may serve it on the spot, and the clients of the other listeners wait meanwhile.
    package func acceptHere() throws(WaitError) {
        var loops = listeners.map { AcceptLoop($0, of: self) }
        while Listener.blockUntilAcceptable(listeners) {
            for index in loops.indices where listeners[index].mayAccept {
                guard try loops[index].acceptSome(1) else { return }
            }
        }
    }

    /// Accepts what the kernel has queued already and closes the listeners.  Open connections go on, and those for which there was no place
    /// yet have their turn.  What an inherited listener has queued is left to the process that accepts there next.  Never waits.
    public func stopAccepting() {
        checkOwner()
        hasStoppedAccepting = true
        for acceptor in acceptors { acceptor.kill() }
        acceptors = []
        defer { if isEmpty { emptied.wakeAll() } }
        for listener in listeners { drain(listener) }
    }

    /// A loop that has been woken for a connection, and had no turn yet, does not accept it any more.
    private func drain(_ listener: Listener) {
        if listener.isClosed { return }
        model.takeBack(listener)
        if listener.isInherited { return listener.retire() }
        var loop = AcceptLoop(listener, of: self)
        loop.acceptQueued()
        listener.close()
    }

    /// Waits for a place; returns nil where the client is to be refused.
    func takePlace() throws(NetError) -> Place? {
        while true {
            if let place = Place(in: admission) { return place }
            if overflow == .reject { return nil }
            do throws(WaitError) { try waitForPlace() } catch { throw NetError(.accept, .wait(error), nil) }
        }
    }

    private func waitForPlace() throws(WaitError) {
        try Pause.untilWoken(in: placeFreed, orFor: admission.lookInterval)
        if listeners[0].isAskedToStop { throw .closed }
    }

    // MARK: Serving

    /// Starts to serve one connection.  Where it cannot, it calls `refused`, closes the connection and gives the place back.  A client that is not admitted
    /// sees the end only after that: what it asks about then, in the log or the counters, has its refusal.
    func serve(_ client: consuming PendingConnection, in place: consuming Place, refused: (Refusal) -> Void) {
        let peer = client.peer
        guard place.admit(peer) else {
            refused(.peerFull)
            return client.close()
        }
        do {
            try model.start(client, for: self)
        } catch {
            return refused(.noContext(error))
        }
        place.keep()
    }

    /// Serves one connection that was accepted elsewhere, in the calling context itself and as soon as there is a place: on an OS thread that has no hub.
    /// Where it cannot, it does as `serve`; it refuses with `full` where `shouldStop` has ended the wait for a place.
    package func serveHere(
        _ client: consuming PendingConnection, unless shouldStop: () -> Bool, refused: (Refusal) -> Void
    ) {
        while true {
            if let place = Place(in: admission) { return serve(client, in: place, refused: refused) }
            SystemCalls.sleepUnlessSignalled(admission.lookInterval ?? Pause.lookInterval)
            if shouldStop() {
                refused(.full)
                return client.close()
            }
        }
    }

    /// Called by the model when a connection has got its context, before anything can end it.
    package func connectionStarted() {
        startedConnections += 1
        onStart()
    }

    /// Called by the model, once for each connection that was started.
    package func connectionEnded(_ peer: SocketAddress, _ end: ConnectionEnd) {
        startedConnections -= 1
        onEnd(end)
        Place(keptFor: peer, in: admission).giveBack()
        ownConnectionEnded()
    }

    /// Called by the model where a connection has ended that one of its contexts has accepted: there may be a place, or no connection any more.
    package func ownConnectionEnded() {
        placeFreed.wakeAll()
        if !pending.isEmpty { servePending() }
        if isEmpty { emptied.wakeAll() }
    }

    /// `client` waits for a place.
    func wait(_ client: consuming PendingConnection) {
        pending.append(client)
        // Its own connections' ends are told.
        guard admission.lookInterval != nil, WaitMode.isOnHub, pendingKeeper?.hasEnded != false else { return }
        pendingKeeper = spawn(name: "clients without a place") { [self] in
            while !pending.isEmpty {
                try Pause.untilWoken(in: placeFreed, orFor: admission.lookInterval)
                servePending()
            }
            if isEmpty { emptied.wakeAll() }
        }
    }

    @inline(never)
    private func servePending() {
        while !pending.isEmpty, let place = Place(in: admission) {
            // A client for which there is no context is refused, and the others may fare better.
            try? AcceptLoop(listeners[0], of: self).serve(pending.removeFirst(), in: place)
        }
    }

    /// Whether clients that were accepted wait for a place.
    package var hasPending: Bool { !pending.isEmpty }
    package var isAccepting: Bool { !hasStoppedAccepting }

    private func dropPending() {
        while pending.popFirst() != nil {}
        placeFreed.wakeAll()
    }

    private var isEmpty: Bool { startedConnections == 0 && pending.isEmpty && model.ownConnections == 0 }

    // MARK: Stopping

    /// Stops accepting and waits until every connection has ended, at most until `deadline`; then lets each answer what it has received, and end.
    ///
    /// This is the whole shutdown, in this order, whatever the model:
    ///
    /// 1. The server accepts what the kernel has queued and closes its listeners.  From now on `Connection.isDraining` is true for each connection, also for
    ///    those that had to wait for a place.
    /// 2. A connection inside `Connection.withIdle`, now or later, receives the end of the stream unless something has come, so that its handler returns.
    ///    Every other connection goes on as before: a handler that serves request after request looks at `isDraining` and ends after the current request.
    /// 3. As soon as the last connection has ended, `drain` returns.
    /// 4. At `deadline`, clients that still wait for a place are dropped, and each open connection receives the end of the stream behind what has come by
    ///    then.  A connection that has still not ended a second later, since its client does not read, is cancelled: its next wait throws.
    ///
    /// A handler that returns meanwhile leaves its connection lingering: the client is sent the end of the stream, and what it still sends is dropped for half a
    /// second at most, so that a reset does not take away the last answer.
    ///
    /// In other models than green threads, step 2 does not reach a connection, and step 4 shuts its socket down for receiving.
    ///
    /// Throws when killed or when an enclosing time limit is over; the connections go on then, and stay drained.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func drain(until deadline: Deadline) throws(WaitError) {
        checkOwner()
        isDraining = true
        stopAccepting()
        model.beginDraining()
        if try waitUntilEmpty(until: deadline) { return try model.serverEnded() }
        dropPending()
        model.finishReceiving()
        if try waitUntilEmpty(until: .after(StreamServer.grace)) { return try model.serverEnded() }
        try stop()
    }

    /// Stops accepting and cancels every connection; returns when all have unwound.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func stop() throws(WaitError) {
        stopAccepting()
        dropPending()
        model.cancel()
        _ = try waitUntilEmpty(until: .never)
        try model.serverEnded()
    }

    private func waitUntilEmpty(until deadline: Deadline) throws(WaitError) -> Bool {
        let thread = Hub.currentThread
        while !isEmpty {
            switch thread.error(after: thread.wait(for: .connections, until: deadline, in: emptied)) {
            case nil: continue
            case .deadlinePassed: return isEmpty
            case let error?: throw error
            }
        }
        return true
    }
}

@available(*, unavailable)
extension StreamServer: Sendable {}
