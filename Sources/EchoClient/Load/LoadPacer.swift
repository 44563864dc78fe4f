import GreenNet

/// An open loop: messages are sent when they are due, whatever has been answered, and the latency of each counts from the moment when it was due.  A stall of
/// the service, or of this client, raises the latency of all messages that were due in it.
extension LoadHub {
    /// The pacer looks for a stop at least this often.
    private static let longestSleep = Duration.milliseconds(50)

    func loadAtRate() throws {
        let receivers = states.indices.compactMap { index -> Greenlet<Void>? in
            guard case .plain(let connection)? = connections[index] else { return nil }
            let state = states[index]
            return spawn { [self] in try attempt(state) { try receiveAll(state, connection) } }
        }
        begin()
        try pace()
        isPaced = true
        // Receivers that are owed nothing wait no more.
        for index in states.indices where states[index].pointee.answered == states[index].pointee.asked {
            connections[index]?.finishReceiving()
        }
        for receiver in receivers { try receiver.value() }
    }

    /// When the `count`th message of a connection is to be sent, in nanoseconds of the monotonic clock.
    @inline(__always)
    private func intended(_ state: LoadConnection.Pointer, _ count: Int) -> Int64 {
        let exact = Int64(Double(count * plan.connections + state.pointee.number) * nanosecondsPerMessage)
        return start + (isBeating ? (exact + LoadHub.beat - 1) / LoadHub.beat * LoadHub.beat : exact)
    }

    /// In nanoseconds.  At higher rates, all messages that are due in this time are sent at once: to wake up for each of them would cost the client more
    /// than the service.
    private static let beat: Int64 = 200_000
    private var nanosecondsPerMessage: Double { 1e9 / plan.rate! }
    private var isBeating: Bool { nanosecondsPerMessage < Double(LoadHub.beat) }

    private func pace() throws {
        guard states.count > 0 else { return }
        let timer = try PreciseTimer()
        var (round, now) = (0, start)
        while hasOpenConnection {
            for index in states.indices where round < states[index].pointee.quota {
                let state = states[index]
                let moment = intended(state, round)
                while moment > now {
                    if min(moment, Deadline.now.nanoseconds) >= tally.stop { return }
                    try timer.wait(until: min(Deadline(nanoseconds: moment), .now + LoadHub.longestSleep))
                    now = Deadline.now.nanoseconds
                }
                if moment >= tally.stop { return }
                if state.pointee.isOver { continue }
                lateness.record(now - moment)
                try attempt(state) { try ask(state, moment) }
            }
            round += 1
            if plan.messages != nil, !states.indices.contains(where: { round < states[$0].pointee.quota }) { return }
        }
    }

    private var hasOpenConnection: Bool { states.indices.contains { !states[$0].pointee.isOver } }

    /// Never waits for the other side: what does not fit in at once is sent by another green thread.
    private func ask(_ state: LoadConnection.Pointer, _ moment: Int64) throws {
        state.pointee.asked += 1
        if state.pointee.waitsSince == .max { state.pointee.waitsSince = moment }
        if state.pointee.isCatchingUp { return }
        guard case .plain(let connection)? = connections[index(of: state)] else { return }
        let piece = text.piece(at: state.pointee.place + state.pointee.sent, plan.size)
        state.pointee.sent += piece.count
        let taken = try sendNow(piece, connection)
        if taken == plan.size { return }
        state.pointee.sent += taken - piece.count
        state.pointee.isCatchingUp = true
        let (missing, asked) = (plan.size - taken, state.pointee.asked)
        spawn(name: "sender of connection \(state.pointee.number)") { [self] in
            try attempt(state) { try catchUp(state, connection, missing, asked) }
        }
    }

    private func sendNow(_ piece: UnsafeRawBufferPointer, _ connection: Connection) throws -> Int {
        do throws(NetError) {
            return try connection.send(piece, until: Deadline(nanoseconds: 0))
        } catch {
            if error.waitError == .deadlinePassed { return 0 }
            throw error
        }
    }

    /// Until all that was asked meanwhile is sent too.
    private func catchUp(_ state: LoadConnection.Pointer, _ connection: Connection, _ missing: Int, _ asked: Int) throws
    {
        var (missing, asked) = (missing, asked)
        while missing > 0 {
            try send(missing, state, connection)
            missing = (state.pointee.asked - asked) * plan.size
            asked = state.pointee.asked
        }
        state.pointee.isCatchingUp = false
    }

    private func receiveAll(_ state: LoadConnection.Pointer, _ connection: Connection) throws {
        state.pointee.partial = 0
        let size = plan.size
        while true {
            let now: Int64
            do {
                now = try receive(state, connection)
            } catch let failure as LoadFailure where failure.kind == .ended && isThrough(state) {
                return
            }
            var finished = 0
            while state.pointee.partial >= size {
                state.pointee.partial -= size
                record(state, asked: intended(state, state.pointee.answered), answered: now)
                state.pointee.answered += 1
                finished += 1
            }
            tally.add(finished, to: .messages)
            tally.add(finished * size, to: .bytes)
            state.pointee.waitsSince = state.pointee.answered < state.pointee.asked ? now : .max
            if isThrough(state) { return }
        }
    }

    /// All is asked and answered.
    private func isThrough(_ state: LoadConnection.Pointer) -> Bool {
        state.pointee.answered == state.pointee.asked && isPaced
    }
}
