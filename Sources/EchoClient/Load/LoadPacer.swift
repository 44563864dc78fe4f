import GreenNet

/// An open loop: messages are sent when it is their time, whatever has been answered, and each counts as asked at the moment that was
/// intended.  So a service that stalls is charged for all who would have come meanwhile, and so is a client that is late.
extension LoadHub {
    /// A stop is noticed after so long at the latest.
    private static let longestSleep = Duration.milliseconds(50)

    func loadAtRate() throws {
        let receivers = lines.indices.compactMap { index -> Greenlet<Void>? in
            guard let connection = connections[index] else { return nil }
            let line = lines[index]
            return spawn { [self] in try attempt(line) { try receiveAll(line, connection) } }
        }
        begin()
        try pace()
        isPaced = true
        // Those who wait for nothing any more are told so.
        for index in lines.indices where lines[index].pointee.answered == lines[index].pointee.asked {
            connections[index]?.finishReceiving()
        }
        for receiver in receivers { try receiver.value() }
    }

    /// When the `count`th message of a connection is to be sent, in nanoseconds of the monotonic clock.
    @inline(__always)
    private func intended(_ line: LinePointer, _ count: Int) -> Int64 {
        let exact = Int64(Double(count * plan.connections + line.pointee.number) * nanosecondsPerMessage)
        return start + (isBeating ? (exact + LoadHub.beat - 1) / LoadHub.beat * LoadHub.beat : exact)
    }

    /// At higher rates, the messages of so many nanoseconds are meant to be sent at once: to wake up for each of them would make the client
    /// dearer than the service.
    private static let beat: Int64 = 200_000
    private var nanosecondsPerMessage: Double { 1e9 / plan.rate! }
    private var isBeating: Bool { nanosecondsPerMessage < Double(LoadHub.beat) }

    private func pace() throws {
        guard lines.count > 0 else { return }
        let timer = try PreciseTimer()
        var (round, now) = (0, start)
        while hasOpenLine {
            for index in lines.indices where round < lines[index].pointee.quota {
                let line = lines[index]
                let moment = intended(line, round)
                while moment > now {
                    if min(moment, Deadline.now.nanoseconds) >= tally.stop { return }
                    try timer.wait(until: min(Deadline(nanoseconds: moment), .now + LoadHub.longestSleep))
                    now = Deadline.now.nanoseconds
                }
                if moment >= tally.stop { return }
                if line.pointee.isOver { continue }
                lateness.record(now - moment)
                try attempt(line) { try ask(line, moment) }
            }
            round += 1
            if plan.messages != nil, !lines.indices.contains(where: { round < lines[$0].pointee.quota }) { return }
        }
    }

    private var hasOpenLine: Bool { lines.indices.contains { !lines[$0].pointee.isOver } }

    /// Never waits for the other side: what does not fit in at once is sent by another green thread.
    private func ask(_ line: LinePointer, _ moment: Int64) throws {
        line.pointee.asked += 1
        if line.pointee.waitsSince == .max { line.pointee.waitsSince = moment }
        if line.pointee.isCatchingUp { return }
        let connection = connections[index(of: line)]!
        let piece = text.piece(at: line.pointee.place + line.pointee.sent, plan.size)
        line.pointee.sent += piece.count
        let taken = try sendNow(piece, connection)
        if taken == plan.size { return }
        line.pointee.sent += taken - piece.count
        line.pointee.isCatchingUp = true
        let (missing, asked) = (plan.size - taken, line.pointee.asked)
        spawn(name: "sender of connection \(line.pointee.number)") { [self] in
            try attempt(line) { try catchUp(line, connection, missing, asked) }
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
    private func catchUp(_ line: LinePointer, _ connection: Connection, _ missing: Int, _ asked: Int) throws {
        var (missing, asked) = (missing, asked)
        while missing > 0 {
            try send(missing, line, connection)
            missing = (line.pointee.asked - asked) * plan.size
            asked = line.pointee.asked
        }
        line.pointee.isCatchingUp = false
    }

    private func receiveAll(_ line: LinePointer, _ connection: Connection) throws {
        line.pointee.partial = 0
        let size = plan.size
        while true {
            let now: Int64
            do {
                now = try receive(line, connection)
            } catch let failure as LoadFailure where failure.kind == .ended && isThrough(line) {
                return
            }
            var finished = 0
            while line.pointee.partial >= size {
                line.pointee.partial -= size
                record(line, asked: intended(line, line.pointee.answered), answered: now)
                line.pointee.answered += 1
                finished += 1
            }
            tally.add(finished, to: .messages)
            tally.add(finished * size, to: .bytes)
            line.pointee.waitsSince = line.pointee.answered < line.pointee.asked ? now : .max
            if isThrough(line) { return }
        }
    }

    /// All is asked and answered.
    private func isThrough(_ line: LinePointer) -> Bool {
        line.pointee.answered == line.pointee.asked && isPaced
    }
}
