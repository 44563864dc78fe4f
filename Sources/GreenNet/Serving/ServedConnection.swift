/// The green thread of one connection.  While the connection rests, it has ended; the same object begins anew afterwards.
class ServedConnection: AnyGreenlet {
    final let connection: Connection
    // Unchecked, as in `AnyGreenlet`.

    /// What is run when the connection wakes; nil where it may not rest.
    @exclusivity(unchecked)
    private final var restBody: (() throws -> Void)?
    /// How long it waits before it rests, in nanoseconds.
    @exclusivity(unchecked)
    private final var restAfter: Int64 = .max
    /// Called once it has ended, before `ended`.
    @exclusivity(unchecked)
    private final var atEnd: ((ConnectionEnd) -> Void)?
    /// The deadline of the wait that it gave up last.
    private(set) final var restDeadline = Deadline.never
    /// It has waited inside `Connection.withIdle`.
    private(set) final var restsIdle = false

    // Among those that may rest, while it has a green thread; in a list of `RestingConnections` while it rests.  The lists do not retain by these.
    @exclusivity(unchecked)
    final var nextResting: Unmanaged<ServedConnection>?
    @exclusivity(unchecked)
    final var previousResting: Unmanaged<ServedConnection>?

    init(_ connection: Connection) { self.connection = connection }

    /// The one that it belongs to.
    var service: GreenService { programmingError("a connection without a service") }

    /// Called once, after the connection was closed.
    func ended(_ end: ConnectionEnd) {}

    final override func run() {
        let service = service
        guard let end = serve(service) else { return service.rest(self) }
        finish(end)
    }

    private func finish(_ end: ConnectionEnd) {
        connection.close()
        atEnd?(end)
        ended(end)
    }

    /// Nil where it is to rest.
    private func serve(_ service: GreenService) -> ConnectionEnd? {
        do {
            if let restBody { try runResting(restBody, service) } else { try service.handler(connection) }
            if connection.isDraining || connection.socket.endsWhenEmpty { linger() }
            return .done
        } catch {
            if isKilled { return .cancelled }
            if isRest(error) { return nil }
            return fail(error)
        }
    }

    private func fail(_ error: any Error) -> ConnectionEnd {
        service.onFailure(connection, error)
        return ConnectionEnd(error)
    }

    private func linger() {
        connection.socket.endsWhenEmpty = false
        connection.linger(within: StreamServer.grace / 2)
    }

    // MARK: Resting

    /// As `Connection.restingWhenIdle`.
    final func runResting(
        for duration: Duration, atEnd: ((ConnectionEnd) -> Void)? = nil, _ body: @escaping () throws -> Void
    ) throws {
        if let atEnd { self.atEnd = atEnd }
        // Inside another call, that one's body is run again.
        guard restBody == nil else { return try body() }
        let service = service
        (restBody, restAfter) = (body, service.restDelay(duration))
        try runResting(body, service)
    }

    @inline(__always)
    private func runResting(_ body: () throws -> Void, _ service: GreenService) throws {
        service.addCandidate(self)
        defer { service.removeCandidate(self) }
        try body()
        restBody = nil
    }

    private func isRest(_ error: any Error) -> Bool {
        guard restBody != nil, let error = error as? any WaitEnding else { return false }
        return error.waitError == .resting && !connection.socket.isClosed
    }

    /// Ends the wait of its green thread, where that has waited for `connection` long enough; its handler unwinds then.
    final func restIfIdle(at now: Deadline) {
        guard let thread, thread.isWaiting(toReceiveFrom: connection.socket), thread.scopeDeadline == .never,
            thread.shields == 0, thread.joiners.isEmpty, observers.isEmpty,
            now - thread.waitingSince >= .nanoseconds(restAfter)
        else { return }
        (restDeadline, restsIdle) = (thread.deadline, connection.isIdle)
        thread.wake(.rest)
    }

    /// In the loop, or on a green thread that has closed it or ends it: its handler runs again.  It is in no list any more.
    final func wake() {
        do throws(SpawnError) { try service.begin(self) } catch { finish(fail(error)) }
    }

    /// The deadline has passed of the wait that it gave up.
    final func endOverdue() {
        // What has come meanwhile wins, as it does for a wait.
        if SystemCalls.poll(connection.socket.descriptor, for: .readable) > 0 { return connection.socket.wakeReader() }
        service.stopResting(self)
        finish(fail(NetError(.recv, .wait(.deadlinePassed), connection.peer)))
    }

    final func cancelResting() {
        service.stopResting(self)
        finish(.cancelled)
    }
}

extension GreenThread {
    fileprivate func isWaiting(toReceiveFrom socket: Socket) -> Bool {
        state == .parked && waitKind == .readable && waitDetail == socket.address
    }
}
