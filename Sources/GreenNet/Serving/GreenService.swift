/// What is done with the connections of a server on one hub: each has a green thread of its own there, unless it rests.
final class GreenService {
    let handler: (Connection) throws -> Void
    let onFailure: (Connection, any Error) -> Void
    private let stackSize: Int?

    private(set) var resting = RestingConnections()
    // Unchecked, here and below: each connection changes these, and no access lasts across a wait.
    //
    /// Those that have a green thread and may rest; the others follow through `nextResting`.  Not retained, nor is any of them while it is moved.
    @exclusivity(unchecked)
    private var firstCandidate: Unmanaged<ServedConnection>?
    /// The candidate that `sweep` looks at next.
    @exclusivity(unchecked)
    private var nextToSweep: Unmanaged<ServedConnection>?
    @exclusivity(unchecked)
    private var keeper: RestKeeper?
    /// How often candidates are looked at: after a quarter of the shortest time for which one of them has to wait.
    private(set) var restInterval = Duration.seconds(60)
    /// How long the last one has to wait, and the same in nanoseconds: as a rule, all wait equally long.
    @exclusivity(unchecked)
    private var lastDuration = (Duration.zero, nanoseconds: Int64(0))
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

    /// In nanoseconds, for a connection that is to wait for `duration` before it rests.
    func restDelay(_ duration: Duration) -> Int64 {
        if lastDuration.0 != duration { noteDelay(duration) }
        return lastDuration.nanoseconds
    }

    @inline(never)  // Rare, and several divisions.
    private func noteDelay(_ duration: Duration) {
        require(duration > .zero, "restingWhenIdle(for: \(duration)): the duration is more than 0")
        restInterval = min(restInterval, max(duration / 4, RestingConnections.precision))
        lastDuration = (duration, duration.nanoseconds)
    }

    /// `served` may rest when it has waited for its delay.
    func addCandidate(_ served: ServedConnection) {
        let served = Unmanaged.passUnretained(served)
        served._withUnsafeGuaranteedRef { $0.nextResting = firstCandidate }
        firstCandidate?._withUnsafeGuaranteedRef { $0.previousResting = served }
        firstCandidate = served
        if keeper?.hasNoneToLookAt ?? true { lookAtCandidates() }
    }

    @inline(never)  // Only of the first.
    private func lookAtCandidates() {
        if let keeper { keeper.thread?.wake(.event) } else { startKeeper() }
    }

    func removeCandidate(_ served: ServedConnection) {
        let (previous, next) = (served.previousResting, served.nextResting)
        if nextToSweep?.toOpaque() == Unmanaged.passUnretained(served).toOpaque() { nextToSweep = next }
        if let previous { previous._withUnsafeGuaranteedRef { $0.nextResting = next } } else { firstCandidate = next }
        next?._withUnsafeGuaranteedRef { $0.previousResting = previous }
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
            guard let served = nextToSweep?.takeUnretainedValue() else { return false }
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
