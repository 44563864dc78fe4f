/// What is done with the connections of a server on one hub: each has a green thread of its own there, unless it rests.
final class GreenService {
    let handler: (Connection) throws -> Void
    let onFailure: (Connection, any Error) -> Void
    private let stackSize: Int?

    private(set) var resting = RestingConnections()
    /// Those that have a green thread and may rest; the others follow through `nextResting`.
    private unowned(unsafe) var firstCandidate: ServedConnection?
    /// The candidate that `sweep` looks at next.
    private unowned(unsafe) var nextToSweep: ServedConnection?
    private var keeper: RestKeeper?
    /// How often candidates are looked at: after a quarter of the shortest time for which one of them has to wait.
    private(set) var restInterval = Duration.seconds(60)
    /// Those that rest are to end what they have begun.
    private(set) var wakesResting = false

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

    func beginDraining() {
        for served in served { served.connection.beginDraining() }
        for served in resting.all {
            served.connection.beginDraining()
            if served.restsIdle { served.connection.socket.wakeReader() }
        }
    }

    func finishReceiving() {
        for served in served { served.connection.finishReceiving() }
        wakesResting = true
        keeper?.thread?.wake(.event)
    }

    func cancel() {
        for served in served { served.kill() }
        cancelResting()
    }

    func serverEnded() throws(WaitError) {
        guard let keeper else { return }
        keeper.kill()
        try keeper.join()
    }

    private var served: [ServedConnection] {
        Hub.currentThread.scheduler.living.compactMap { $0 as? ServedConnection }.filter { $0.service === self }
    }
}

// MARK: - Connections that may rest

extension GreenService {
    var hasCandidates: Bool { firstCandidate != nil }

    /// `served` may rest when it has waited for `duration`.
    func addCandidate(_ served: ServedConnection, after duration: Duration) {
        restInterval = min(restInterval, max(duration / 4, RestingConnections.precision))
        served.nextResting = firstCandidate
        firstCandidate?.previousResting = served
        firstCandidate = served
        if let keeper {
            if keeper.hasNoneToLookAt { keeper.thread?.wake(.event) }
        } else {
            startKeeper()
        }
    }

    func removeCandidate(_ served: ServedConnection) {
        let (previous, next) = (served.previousResting, served.nextResting)
        if nextToSweep === served { nextToSweep = next }
        if let previous { previous.nextResting = next } else { firstCandidate = next }
        next?.previousResting = previous
        served.previousResting = nil
        served.nextResting = nil
    }

    /// Without memory for its stack, all goes on as if no connection might rest.
    private func startKeeper() {
        let keeper = RestKeeper(of: self)
        keeper.beginAsDaemon(stackSize: nil)
        if keeper.thread != nil { self.keeper = keeper }
    }

    func keeperEnded() { keeper = nil }

    func beginSweep() { nextToSweep = firstCandidate }

    /// Has `count` more candidates rest, if they have waited long enough.  Returns whether there are more to look at.
    func sweep(_ count: Int, at now: Deadline) -> Bool {
        for _ in 0..<count {
            guard let served = nextToSweep else { return false }
            nextToSweep = served.nextResting
            served.restIfIdle(at: now)
        }
        return nextToSweep != nil
    }
}

// MARK: - Connections that rest

extension GreenService {
    /// `served`, whose green thread is about to end, rests until something comes.
    func rest(_ served: ServedConnection) {
        Hub.currentThread.scheduler.fields.pointee.restEnded = wakeServedConnection
        resting.insert(served)
        served.connection.socket.rest = Unmanaged.passUnretained(served).toOpaque()
        // It may have to look at an earlier deadline, or to wake this one as well.
        keeper?.thread?.wake(.event)
    }

    func stopResting(_ served: ServedConnection) {
        served.connection.socket.rest = nil
        resting.remove(served)
    }

    func begin(_ served: ServedConnection) throws(SpawnError) {
        try Hub.currentThread.scheduler.start(served, on: StackClass(stackSize), inheriting: false)
    }

    func cancelResting() { while let served = resting.first { served.cancelResting() } }
}

/// Something has come for a connection that rests, or it was closed.
private let wakeServedConnection: @Sendable (UnsafeMutableRawPointer) -> Void = { address in
    let served = Unmanaged<ServedConnection>.fromOpaque(address).takeUnretainedValue()
    served.service.stopResting(served)
    served.wake()
}
