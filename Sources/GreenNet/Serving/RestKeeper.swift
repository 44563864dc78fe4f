/// Looks after the connections of a service that may rest and those that do: it has those rest that have waited long enough, a few at a time, and ends
/// those whose deadline passes.
final class RestKeeper: AnyGreenlet {
    private let service: GreenService
    /// It looks at no candidate before it is woken.
    private(set) var hasNoneToLookAt = false
    /// How many connections it looks at before it gives way.
    private static let batch = 128
    /// How long it stays without a connection.
    private static let patience = Duration.milliseconds(500)

    init(of service: GreenService) { self.service = service }

    override var name: String? { "resting connections" }

    override func run() {
        defer { service.keeperEnded() }
        do throws(WaitError) {
            repeat {
                try lookAtCandidates()
                try endOverdue()
                try wakeResting()
            } while try pause()
        } catch {
            // The hub closes, or the server has ended.
            service.cancelResting()
        }
    }

    /// Until the next of them may rest, or is to end.  Returns false where there has long been none.
    private func pause() throws(WaitError) -> Bool {
        let thread = thread!
        hasNoneToLookAt = !service.hasCandidates
        let interval = hasNoneToLookAt ? service.resting.count > 0 ? nil : RestKeeper.patience : service.restInterval
        let end = min(service.resting.nextDue, interval.map { .after($0) } ?? .never)
        let error = thread.error(after: thread.wait(for: .connections, until: end))
        if let error, error != .deadlinePassed { throw error }
        return error == nil || service.hasCandidates || service.resting.count > 0
    }

    private func lookAtCandidates() throws(WaitError) {
        let now = Deadline.now
        service.beginSweep()
        while service.sweep(RestKeeper.batch, at: now) { try giveWay() }
    }

    private func endOverdue() throws(WaitError) {
        let now = Deadline.now
        var count = 0
        while let served = service.resting.overdue(at: now) {
            served.endOverdue()
            count += 1
            if count % RestKeeper.batch == 0 { try giveWay() }
        }
    }

    /// Each needs a stack: with all of them woken at once, there would be no memory for a million.
    private func wakeResting() throws(WaitError) {
        while service.wakesResting, let served = service.resting.first {
            served.connection.finishReceiving()
            if service.resting.count % RestKeeper.batch == 0 { try giveWay() }
        }
    }

    private func giveWay() throws(WaitError) {
        thread!.giveWay(after: RestKeeper.batch)
        try thread!.throwIfInterrupted()
    }
}
