/// Accepts connections and runs `handler` for each, on a green thread of its own.
///
///     let server = try StreamServer(on: .loopback(port: 8080)) { connection in
///         while let bytes = try connection.receive() { try connection.sendAll(bytes) }
///     }
///     try server.run()
///
/// The connection is closed when its handler returns or throws; what it throws ends that connection and nothing else.
/// Belongs to the OS thread that made it.
public final class StreamServer {
    /// Where it accepts.
    public let listeners: [Listener]
    package let model: any ConnectionModel
    let admission: any Admission
    /// What to do with a connection for which there is no place.
    private let overflow: Overflow

    private var acceptors: [Greenlet<Void>] = []
    /// Accept loops that have ended by themselves: their listeners were closed, or have failed.
    private var endedLoops = 0
    /// Why a listener has failed.
    private var listenerFailure: NetError?
    /// `stopAccepting` was called: it is not started again.
    private var hasStoppedAccepting = false
    /// Raw memory: green threads stand in these while they wait.
    private let emptied = WaitQueue.make()
    private let placeFreed = WaitQueue.make()

    /// Accepted when the listeners were closed, and not served yet for want of a place.
    var waiting: [Waiting] = []

    package struct Waiting {
        package let descriptor: Int32
        package let peer: SocketAddress

        /// In this process only: another one may have it too.
        package func close() { SystemCalls.close(descriptor) }
    }

    /// Whether `drain` was called.
    public private(set) var isDraining = false

    /// Connections that are being served.
    public private(set) var openConnections = 0

    /// Told what happens to the accept loops.  Must not wait.
    public var onAcceptEvent: (AcceptEvent, Listener) -> Void = { _, _ in }
    /// Told that a connection begins, and how it has ended.  Must not wait.
    package var onStart: () -> Void = {}
    package var onEnd: (ConnectionEnd) -> Void = { _ in }
    /// Asked where a client wants to connect and the process or the system has no descriptor or no memory left for that: returns whether it has
    /// given some back, so that accepting is tried again at once and not after a pause.  May wait.
    package var makeRoom: (() throws(WaitError) -> Bool)?

    /// How long `drain` waits, after its deadline, for what was received to be answered.
    package static let grace = Duration.seconds(1)

    /// What becomes of a connection that comes when the server is full.
    public enum Overflow: String, Sendable {
        /// It waits in the kernel's queue until another one ends.
        case `defer`
        /// It is closed at once.
        case reject
    }

    /// Listens on each of `addresses`, and serves never more than `limit` connections at once.  Accepts nothing before `run()` or `start()`; clients that
    /// connect before wait in the kernel's queue.
    ///
    /// Port 0 is one that is free: `listeners[0].address` says which.
    /// `onFailure` is called with what a handler threw, unless the server has cancelled that connection; it must not wait.
    /// Throws where the kernel refuses an address: EADDRINUSE, say.
    public convenience init(
        on addresses: SocketAddress..., limit: Int = .max, overflow: Overflow = .defer,
        onFailure: @escaping (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping (Connection) throws -> Void
    ) throws(NetError) {
        require(!addresses.isEmpty, "a server without an address")
        let listeners = try addresses.map { address throws(NetError) in try Listener(on: address) }
        let model = GreenModel(handler: handler, onFailure: onFailure)
        self.init(listeners, model: model, admission: LocalAdmission(places: limit), overflow: overflow)
    }

    /// Takes over `listeners`; else as `init(on:)`.
    public convenience init(
        _ listeners: Listener..., limit: Int = .max, overflow: Overflow = .defer,
        onFailure: @escaping (Connection, any Error) -> Void = { _, _ in },
        handler: @escaping (Connection) throws -> Void
    ) {
        let model = GreenModel(handler: handler, onFailure: onFailure)
        self.init(listeners, model: model, admission: LocalAdmission(places: limit), overflow: overflow)
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
    public func run() throws(NetError) {
        if acceptors.isEmpty, !hasStoppedAccepting { start() }
        let thread = Hub.currentThread
        while !hasEnded {
            let error = thread.error(after: thread.wait(for: .connections, until: .never, in: emptied))
            if let error { throw NetError(.accept, .wait(error), listeners.first?.address) }
        }
        if !hasStoppedAccepting, let listenerFailure { throw listenerFailure }
    }

    private var hasEnded: Bool { isEmpty && (hasStoppedAccepting || endedLoops == listeners.count) }

    /// Begins to accept, and goes on until it is stopped, also where the program holds no reference to the server.  Never waits.
    public func start() {
        require(acceptors.isEmpty, "the server was started before")
        endedLoops = 0
        acceptors = listeners.map { listener in
            // They keep the server, until it stops.
            spawn(name: "accept \(listener.address)") {
                var loop = AcceptLoop(listener, of: self)
                try loop.run()
                self.loopEnded()
            }
        }
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

    /// Accepts nobody from when it returns until the next `start()`; whoever connects meanwhile waits in the kernel's queue.  Open connections go on.
    /// Throws when killed or when an enclosing time limit is over.
    public func pauseAccepting() throws(WaitError) {
        // The listener is free for others once they have ended.
        let ending = acceptors
        _ = try killAll(ending)
        acceptors = []
    }

    /// Accepts in the calling context itself, until a listener is closed or asked to stop: on an OS thread that has no hub.  One
    /// connection from each listener in turn, since it may be served on the spot, and the clients of the others wait meanwhile.
    package func acceptHere() throws(WaitError) {
        var loops = listeners.map { AcceptLoop($0, of: self) }
        while Listener.waitOffHub(listeners) {
            for index in loops.indices where listeners[index].mayAccept {
                guard try loops[index].acceptSome(1) else { return }
            }
        }
    }

    /// Accepts what the kernel has queued already and closes the listeners.  Open connections go on, and those for which there was no place
    /// yet have their turn.  What an inherited listener has queued is left to whoever accepts there next.  Never waits.
    public func stopAccepting() {
        hasStoppedAccepting = true
        for acceptor in acceptors { acceptor.kill() }
        acceptors = []
        defer { if isEmpty { emptied.wakeAll() } }
        for listener in listeners where !listener.isClosed {
            // One that has been woken for a connection, and had no turn yet, must not take it any more.
            if listener.isInherited {
                listener.retire()
                continue
            }
            var loop = AcceptLoop(listener, of: self)
            loop.acceptQueued()
            listener.close()
        }
    }

    /// Waits for a place, or returns false where the one who comes is to be turned away.
    func takePlace() throws(NetError) -> Bool {
        while !admission.reserve() {
            if overflow == .reject { return false }
            do throws(WaitError) { try waitForPlace() } catch { throw NetError(.accept, .wait(error), nil) }
        }
        return true
    }

    /// How often it is looked for one off a hub, where nobody can tell.
    private var placeInterval: Duration { admission.lookInterval ?? .milliseconds(10) }

    private func waitForPlace() throws(WaitError) {
        guard let thread = Context.running else {
            SystemCalls.sleepUnlessSignalled(placeInterval)
            if listeners[0].isAskedToStop { throw .closed }
            return
        }
        let nextLook = admission.lookInterval.map { Deadline.after($0) } ?? .never
        let error = thread.error(after: thread.wait(for: .event, until: nextLook, in: placeFreed))
        if let error, error != .deadlinePassed { throw error }
    }

    // MARK: Serving

    /// Starts to serve one connection, for which there is a place.  Where it returns a refusal, the connection is closed, and the place is
    /// the caller's to give back.
    func serve(_ socket: consuming Accepted) -> Refusal? {
        let peer = socket.peer
        guard admission.admit(peer) else { return .peerFull }
        do {
            try model.start(socket, for: self)
            return nil
        } catch {
            admission.leave(peer)
            return .noContext(error)
        }
    }

    /// Takes over one connection that was accepted elsewhere, and serves it in the calling context itself as soon as there is a place: on an
    /// OS thread that has no hub.  Returns why it did not, or nil; what `shouldStop` ends while it waits has found it full.
    package func serveHere(_ one: Waiting, unless shouldStop: () -> Bool) -> Refusal? {
        let socket = Accepted(descriptor: OwnedDescriptor(one.descriptor), peer: one.peer)
        while !admission.reserve() {
            SystemCalls.sleepUnlessSignalled(placeInterval)
            if shouldStop() { return .full }
        }
        let refusal = serve(socket)
        if refusal != nil { admission.release() }
        return refusal
    }

    /// Called by the model when a connection has got its context, before anything can end it.
    package func connectionStarted() {
        openConnections += 1
        onStart()
    }

    /// Called by the model, once for each connection that was started.
    package func connectionEnded(_ peer: SocketAddress, _ end: ConnectionEnd) {
        openConnections -= 1
        onEnd(end)
        admission.leave(peer)
        admission.release()
        placeFreed.wakeAll()
        serveWaiting()
        if isEmpty { emptied.wakeAll() }
    }

    private func serveWaiting() {
        while !waiting.isEmpty, admission.reserve() {
            let next = waiting.removeFirst()
            let socket = Accepted(descriptor: OwnedDescriptor(next.descriptor), peer: next.peer)
            var loop = AcceptLoop(listeners[0], of: self)
            loop.serveLate(socket)
        }
    }

    private func dropWaiting() {
        for one in waiting { SystemCalls.close(one.descriptor) }
        waiting = []
    }

    private var isEmpty: Bool { openConnections == 0 && waiting.isEmpty }

    // MARK: Stopping

    /// Stops accepting and waits until every connection has ended, at most until `deadline`; then lets each answer what it has received, and end.
    ///
    /// What happens, in this order:
    ///
    /// 1. The server accepts what the kernel has queued and closes its listeners.  From now on `Connection.isDraining` is true for each connection, also for
    ///    those that had to wait for a place.
    /// 2. A connection inside `Connection.withIdle`, now or later, is told the end of the stream unless something has come, so that its handler returns.
    ///    Any other one goes on as before: a handler that serves request after request looks at `isDraining` and ends after the current one.
    /// 3. As soon as the last connection has ended, `drain` returns.
    /// 4. At `deadline`, each connection that is left is told the end of the stream once it has received what had come by then.  One that still has
    ///    not ended a second later, since its client does not read, is cancelled.
    ///
    /// When a handler returns while this is under way, its client is told the end of the stream, and what it still sends is dropped for half a second at most,
    /// so that a reset does not take away the last answer.
    ///
    /// Throws when killed or when an enclosing time limit is over; the connections go on then, and stay drained.
    public func drain(until deadline: Deadline) throws(WaitError) {
        isDraining = true
        stopAccepting()
        model.beginDraining()
        if try waitUntilEmpty(until: deadline) { return }
        dropWaiting()
        model.finishReceiving()
        if try waitUntilEmpty(until: .after(StreamServer.grace)) { return }
        try stop()
    }

    /// Stops accepting and cancels every connection; returns when all have unwound.
    public func stop() throws(WaitError) {
        stopAccepting()
        dropWaiting()
        model.cancel()
        _ = try waitUntilEmpty(until: .never)
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
