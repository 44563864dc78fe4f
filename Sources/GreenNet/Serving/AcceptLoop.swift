import Glibc

/// Accepts connections from one listener and hands each over.
///
/// It accepts a few for each wake-up, after which the connections being served have their turn.  `AcceptFailure` lists what may go wrong, and what the loop
/// does then: where the process is out of descriptors it pauses, since the listener would stay readable.
///
/// A `Place` is taken once a client is there and before it is accepted; on every way out of the loop its end gives it back, unless the connection is served.
struct AcceptLoop {
    private let listener: Listener
    private let server: StreamServer
    private var backOff = BackOff()
    private var rhythm = AcceptRhythm()
    /// When a pause was reported whose end was not reported yet.
    private var pauseReported: Deadline?

    static let batch = 64
    /// For how long `acceptQueued` accepts at most.
    static let queueDrainTime = Duration.seconds(1)
    /// Where descriptors come and go one by one, it pauses and goes on by turns: that is reported no more often than this.
    static let reportInterval = Duration.seconds(1)

    init(_ listener: Listener, of server: StreamServer) { (self.listener, self.server) = (listener, server) }

    /// Runs until the listener is closed or the green thread is killed.
    mutating func run() throws(WaitError) { while try acceptSome(AcceptLoop.batch) {} }

    /// Waits for connections and accepts up to `limit` of them.  Returns false once the listener is of no more use.
    mutating func acceptSome(_ limit: Int) throws(WaitError) -> Bool {
        do throws(NetError) {
            try acceptBatch(limit)
        } catch {
            switch (error.waitError, AcceptFailure(error)) {
            case (.closed, _): return false
            case (let ending?, _): throw ending
            case (nil, .skip):
                report(.skipped(error))
                try Pause.giveWay()
            case (nil, .pause): try pause(error)
            case (nil, .stop):
                server.listenerFailed(error, listener)
                return false
            }
        }
        return true
    }

    private mutating func acceptBatch(_ limit: Int) throws(NetError) {
        let isUndisturbed = !backOff.isActive && pauseReported == nil
        if isUndisturbed { try server.model.lend(listener, by: server) }
        for _ in 0..<min(limit, server.model.acceptsAtOnce) {
            try listener.waitUntilAcceptable()
            // Only now: a place must not be held while no client wants it.
            let place = try server.takePlace()
            guard try acceptOne(in: place) else { return rhythm.foundNone() }
            if rhythm.shouldWait() { listener.waitBeforeNext() }
        }
        do throws(WaitError) {
            try Pause.giveWay(after: AcceptLoop.batch)
        } catch {
            throw NetError(.accept, .wait(error), listener.address)
        }
    }

    /// Accepts what the kernel has queued by now, so that closing the listener resets no client: for `queueDrainTime` at most, since a fork, say, takes its
    /// time.  Clients for which there is no place yet wait for one in the server.
    mutating func acceptQueued() {
        let deadline = Deadline.after(AcceptLoop.queueDrainTime)
        var (left, lost) = (listener.queuedConnections, 0)
        while left > 0, !deadline.hasPassed {
            do throws(NetError) {
                guard try acceptQueuedOne() else { return }
                left -= 1
            } catch {
                // Behind a connection that was lost there may be others.
                lost += 1
                guard AcceptFailure(error) == .skip, lost < AcceptLoop.batch else { return }
            }
        }
    }

    private mutating func acceptQueuedOne() throws(NetError) -> Bool {
        if let place = Place(in: server.admission) { return try acceptOne(in: place) }
        guard let client = try listener.acceptNow(blocking: server.model.socketsBlock) else { return false }
        server.wait(client)
        return true
    }

    /// Returns false where no client is there.
    private mutating func acceptOne(in place: consuming Place?) throws(NetError) -> Bool {
        guard let client = try listener.acceptNow(blocking: server.model.socketsBlock) else { return false }
        try serve(client, in: place)
        if backOff.isActive || pauseReported != nil { resume() }
        return true
    }

    /// Refuses `client` where there is no place.  Throws only what asks for a pause.
    func serve(_ client: consuming PendingConnection, in place: consuming Place?) throws(NetError) {
        let peer = client.peer
        guard let place else {
            report(.refused(peer, .full))
            return client.close()
        }
        server.acceptingListener = listener
        var contextFailure: (any Error)?
        server.serve(client, in: place) { refusal in
            report(.refused(peer, refusal))
            if case .noContext(let error) = refusal { contextFailure = error }
        }
        guard let contextFailure else { return }
        throw NetError(
            server.model.contextCall, .system(contextFailure as? SystemError ?? SystemError(ENOMEM)), peer)
    }

    private func report(_ event: AcceptEvent) { server.onAcceptEvent(event, listener) }

    private mutating func pause(_ error: NetError) throws(WaitError) {
        if let makeRoom = server.makeRoom, error.call == .accept, try makeRoom() { return }
        if !backOff.isActive, isTimeToReport {
            pauseReported = .now
            report(.paused(error))
        }
        try Pause.wait(for: backOff.next())
    }

    private mutating func resume() {
        backOff.reset()
        guard pauseReported != nil, isTimeToReport else { return }
        pauseReported = nil
        report(.resumed)
    }

    private var isTimeToReport: Bool { pauseReported.map { .now - $0 >= AcceptLoop.reportInterval } ?? true }
}
