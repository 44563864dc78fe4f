import GreenNet

/// Asking and being answered: what happens with every message.
extension LoadHub {
    /// As much in flight is taken by any service, though nobody takes its answers meanwhile.
    private static let safeInFlight = 16 << 10

    /// Waits for some of the answer, checks it, and returns when it came, in nanoseconds of the monotonic clock.
    @inline(__always)
    func receive(_ line: LinePointer, _ connection: Connection) throws -> Int64 {
        guard let bytes = try connection.receiveView() else { throw ended(line) }
        let now = Deadline.now.nanoseconds
        let place = line.pointee.place + line.pointee.received
        if !text.isAnswered(at: place, by: UnsafeRawBufferPointer(bytes)) {
            throw mismatch(line, UnsafeRawBufferPointer(bytes))
        }
        line.pointee.received += bytes.count
        line.pointee.partial += bytes.count
        if line.pointee.received > line.pointee.sent { throw surplus(line) }
        return now
    }

    /// Sends what the text goes on with.
    @inline(__always)
    func send(_ count: Int, _ line: LinePointer, _ connection: Connection) throws {
        var rest = count
        while rest > 0 {
            let piece = text.piece(at: line.pointee.place + line.pointee.sent, rest)
            // Counted before: no answer is ever early.
            line.pointee.sent += piece.count
            rest -= piece.count
            try connection.sendAll(piece)
        }
    }

    @inline(__always)
    func record(_ line: LinePointer, asked: Int64, answered: Int64) {
        let wait = answered - asked
        latencies.pointee.record(wait)
        if wait > longest.pointee.wait { noteLongest(line, wait, asked) }
    }

    @inline(never)
    private func noteLongest(_ line: LinePointer, _ wait: Int64, _ asked: Int64) {
        longest.pointee = .init(
            wait: wait, connection: line.pointee.number, message: line.pointee.answered, asked: asked - start)
    }

    // MARK: A closed loop

    /// Keeps `depth` messages in flight.
    func converse(_ line: LinePointer, _ connection: Connection) throws {
        line.pointee.partial = 0
        if plan.size * plan.depth <= LoadHub.safeInFlight {
            return try converse(line, connection) { [self] count in try send(count, line, connection) }
        }
        let sender = LineSender(self, line, connection)
        defer { sender.stop() }
        try converse(line, connection) { count in sender.send(count) }
    }

    @inline(__always)
    private func converse(_ line: LinePointer, _ connection: Connection, _ send: (Int) throws -> Void) throws {
        // When each message in flight was asked, in a ring.
        try withUnsafeTemporaryAllocation(of: Int64.self, capacity: plan.depth) { times in
            try converse(line, connection, times.baseAddress!, send)
        }
    }

    @inline(__always)
    private func converse(
        _ line: LinePointer, _ connection: Connection, _ times: UnsafeMutablePointer<Int64>,
        _ send: (Int) throws -> Void
    ) throws {
        let (size, depth) = (plan.size, plan.depth)
        var oldest = 0
        var due = min(depth, line.pointee.quota)
        let now = Deadline.now.nanoseconds
        if now >= tally.stop { return }
        for index in 0..<due { times[index] = now }
        line.pointee.asked = due
        line.pointee.waitsSince = now
        while line.pointee.answered < line.pointee.asked {
            if due > 0 { try send(due * size) }
            due = 0
            let now = try receive(line, connection)
            line.pointee.waitsSince = now
            var finished = 0
            while line.pointee.partial >= size {
                line.pointee.partial -= size
                record(line, asked: times[oldest], answered: now)
                line.pointee.answered += 1
                finished += 1
                if now < tally.stop && line.pointee.asked < line.pointee.quota {
                    times[oldest] = now
                    line.pointee.asked += 1
                    due += 1
                }
                oldest = oldest + 1 == depth ? 0 : oldest + 1
            }
            tally.add(finished, to: .messages)
            tally.add(finished * size, to: .bytes)
        }
        line.pointee.waitsSince = .max
    }

    /// One message, answered in full.
    func finishHolding(_ line: LinePointer, _ connection: Connection) throws {
        let asked = Deadline.now.nanoseconds
        let goal = line.pointee.received + plan.size
        line.pointee.waitsSince = asked
        (line.pointee.asked, line.pointee.partial) = (1, 0)
        let sender = plan.size > LoadHub.safeInFlight ? LineSender(self, line, connection) : nil
        defer { sender?.stop() }
        if let sender { sender.send(plan.size) } else { try send(plan.size, line, connection) }
        var now = asked
        while line.pointee.received < goal {
            now = try receive(line, connection)
            line.pointee.waitsSince = now
        }
        line.pointee.waitsSince = .max
        line.pointee.answered = 1
        record(line, asked: asked, answered: now)
        tally.add(1, to: .messages)
        tally.add(plan.size, to: .bytes)
    }

    // MARK: As fast as it goes

    /// Sends until the time is over, whatever has been answered.
    func stream(_ line: LinePointer, _ connection: Connection) throws {
        let size = plan.size
        let quota = line.pointee.quota
        let base = line.pointee.received
        line.pointee.partial = 0
        let sender = spawn(name: "sender of connection \(line.pointee.number)") { [self] in
            defer { line.pointee.isCatchingUp = false }
            while line.pointee.asked < quota, Deadline.now.nanoseconds < tally.stop {
                line.pointee.asked += 1
                try send(size, line, connection)
            }
            // The last answer may have come before that was known.
            if line.pointee.received == base + line.pointee.asked * size { connection.finishReceiving() }
        }
        line.pointee.isCatchingUp = true
        defer { LineSender.stop(sender) }
        line.pointee.waitsSince = Deadline.now.nanoseconds
        while line.pointee.isCatchingUp || line.pointee.received < base + line.pointee.asked * size {
            do {
                line.pointee.waitsSince = try receive(line, connection)
            } catch let failure as LoadFailure where failure.kind == .ended {
                if line.pointee.isCatchingUp || line.pointee.received < line.pointee.sent { throw failure }
                break
            }
            let finished = line.pointee.partial / size
            line.pointee.partial -= finished * size
            line.pointee.answered += finished
            tally.add(finished, to: .messages)
            tally.add(finished * size, to: .bytes)
        }
        line.pointee.waitsSince = .max
    }

    // MARK: Connecting again and again

    func churnAll() throws {
        let churners = lines.indices.map { index in
            spawn(name: "churner \(index)") { [self] in try churn(lines[index], index) }
        }
        begin()
        for churner in churners { try churner.value() }
    }

    private func churn(_ line: LinePointer, _ index: Int) throws {
        var turn = 0
        while turn < line.pointee.quota, Deadline.now.nanoseconds < tally.stop {
            let number = plan.own.lowerBound + index + turn * plan.connections
            let next = Line(number: number, quota: line.pointee.quota)
            line.pointee = next
            try attempt(line) { try visit(line, index, turn) }
            // A service that refuses is not asked as fast as the machine can.
            if line.pointee.isOver { try Greenlet.sleep(for: .milliseconds(10)) }
            turn += 1
        }
    }

    /// From the connect to the last byte of the answer, which is one message's latency.
    private func visit(_ line: LinePointer, _ index: Int, _ turn: Int) throws {
        let asked = Deadline.now.nanoseconds
        let connection = try connect(line, plan.source(line.pointee.number))
        connections[index] = connection
        defer {
            connection.close()
            connections[index] = nil
        }
        line.pointee.waitsSince = asked
        line.pointee.asked = 1
        let sender = plan.size > LoadHub.safeInFlight ? LineSender(self, line, connection) : nil
        defer { sender?.stop() }
        if let sender { sender.send(plan.size) } else { try send(plan.size, line, connection) }
        var now = asked
        while line.pointee.received < plan.size {
            now = try receive(line, connection)
            line.pointee.waitsSince = now
        }
        line.pointee.waitsSince = .max
        line.pointee.answered = 1
        record(line, asked: asked, answered: now)
        tally.add(1, to: .opened)
        tally.add(1, to: .messages)
        tally.add(plan.size, to: .bytes)
    }

    // MARK: What is wrong with an answer

    @inline(never)
    private func ended(_ line: LinePointer) -> LoadFailure {
        LoadFailure(
            kind: .ended, text: "connection \(line.pointee.number): the service has ended the stream \(debt(of: line))")
    }

    @inline(never)
    private func surplus(_ line: LinePointer) -> LoadFailure {
        LoadFailure(
            kind: .tooManyBytes,
            text:
                "connection \(line.pointee.number): \(line.pointee.received) bytes came, \(line.pointee.sent) were sent"
        )
    }

    @inline(never)
    private func mismatch(_ line: LinePointer, _ bytes: UnsafeRawBufferPointer) -> LoadFailure {
        let received = line.pointee.received
        let difference = text.difference(at: line.pointee.place + received, bytes)
        let guess = difference.guess.map { " (\($0))" } ?? ""
        return LoadFailure(
            kind: .wrongBytes,
            text: """
                connection \(line.pointee.number), offset \(received + difference.offset): expected \
                \(difference.expected.shown), got \(difference.got.shown)\(guess)
                """)
    }
}

extension UInt8 {
    /// As in `0x41 'A'`, or `0x00` where it is no visible character.
    fileprivate var shown: String {
        let digits = String(self, radix: 16).leftPadded(to: 2, with: "0")
        return "0x\(digits)" + ((0x21..<0x7F).contains(self) ? " '\(Character(Unicode.Scalar(self)))'" : "")
    }
}
