import GreenNet
import GreenTLS
import ProgramKit

/// Asking and being answered: what happens with every message.
extension LoadHub {
    /// In bytes.  Any service receives this much while its answers are not read.
    private static let safeInFlight = 16 << 10

    /// Waits for some of the answer, checks it, and returns when it came, in nanoseconds of the monotonic clock.
    @inline(__always)
    func receive(_ state: LoadConnection.Pointer, _ connection: some PeerStream) throws -> Int64 {
        guard let bytes = try connection.receiveView(until: .never) else { throw ended(state) }
        let now = Deadline.now.nanoseconds
        let place = state.pointee.place + state.pointee.received
        if !text.isAnswered(at: place, by: UnsafeRawBufferPointer(bytes)) {
            throw mismatch(state, UnsafeRawBufferPointer(bytes))
        }
        state.pointee.received += bytes.count
        state.pointee.partial += bytes.count
        if state.pointee.received > state.pointee.sent { throw surplus(state) }
        return now
    }

    /// Sends what the text goes on with.
    @inline(__always)
    func send(_ count: Int, _ state: LoadConnection.Pointer, _ connection: some PeerStream) throws {
        var rest = count
        while rest > 0 {
            let piece = text.piece(at: state.pointee.place + state.pointee.sent, rest)
            // Counted before: no answer is ever early.
            state.pointee.sent += piece.count
            rest -= piece.count
            try connection.sendAll(piece, until: .never)
        }
    }

    @inline(__always)
    func record(_ state: LoadConnection.Pointer, asked: Int64, answered: Int64) {
        let wait = answered - asked
        latencies.pointee.record(wait)
        if wait > longest.pointee.wait { noteLongest(state, wait, asked) }
    }

    @inline(never)
    private func noteLongest(_ state: LoadConnection.Pointer, _ wait: Int64, _ asked: Int64) {
        longest.pointee = .init(
            wait: wait, connection: state.pointee.number, message: state.pointee.answered, asked: asked - start)
    }

    // MARK: A closed loop

    /// Keeps `depth` messages in flight.
    func converse(_ state: LoadConnection.Pointer, _ connection: some PeerStream) throws {
        state.pointee.partial = 0
        if plan.size * plan.depth <= LoadHub.safeInFlight {
            return try converse(state, connection) { [self] count in try send(count, state, connection) }
        }
        let sender = LoadSender(self, state, connection)
        defer { sender.stop() }
        try converse(state, connection) { count in sender.send(count) }
    }

    @inline(__always)
    private func converse(
        _ state: LoadConnection.Pointer, _ connection: some PeerStream, _ send: (Int) throws -> Void
    ) throws {
        // When each message in flight was asked, in a ring.
        try withUnsafeTemporaryAllocation(of: Int64.self, capacity: plan.depth) { times in
            try converse(state, connection, times.baseAddress!, send)
        }
    }

    @inline(__always)
    private func converse(
        _ state: LoadConnection.Pointer, _ connection: some PeerStream, _ times: UnsafeMutablePointer<Int64>,
        _ send: (Int) throws -> Void
    ) throws {
        let (size, depth) = (plan.size, plan.depth)
        var oldest = 0
        var due = min(depth, state.pointee.quota)
        let now = Deadline.now.nanoseconds
        if now >= tally.stop { return }
        for index in 0..<due { times[index] = now }
        state.pointee.asked = due
        state.pointee.waitsSince = now
        while state.pointee.answered < state.pointee.asked {
            if due > 0 { try send(due * size) }
            due = 0
            let now = try receive(state, connection)
            state.pointee.waitsSince = now
            var finished = 0
            while state.pointee.partial >= size {
                state.pointee.partial -= size
                record(state, asked: times[oldest], answered: now)
                state.pointee.answered += 1
                finished += 1
                if now < tally.stop && state.pointee.asked < state.pointee.quota {
                    times[oldest] = now
                    state.pointee.asked += 1
                    due += 1
                }
                oldest = oldest + 1 == depth ? 0 : oldest + 1
            }
            tally.add(finished, to: .messages)
            tally.add(finished * size, to: .bytes)
        }
        state.pointee.waitsSince = .max
    }

    /// One message, answered in full.
    func finishHolding(_ state: LoadConnection.Pointer, _ connection: some PeerStream) throws {
        let asked = Deadline.now.nanoseconds
        let goal = state.pointee.received + plan.size
        state.pointee.waitsSince = asked
        (state.pointee.asked, state.pointee.partial) = (1, 0)
        let sender = plan.size > LoadHub.safeInFlight ? LoadSender(self, state, connection) : nil
        defer { sender?.stop() }
        if let sender { sender.send(plan.size) } else { try send(plan.size, state, connection) }
        var now = asked
        while state.pointee.received < goal {
            now = try receive(state, connection)
            state.pointee.waitsSince = now
        }
        state.pointee.waitsSince = .max
        state.pointee.answered = 1
        record(state, asked: asked, answered: now)
        tally.add(1, to: .messages)
        tally.add(plan.size, to: .bytes)
    }

    // MARK: As fast as it goes

    /// Sends until the time is over, whatever has been answered.
    func stream(_ state: LoadConnection.Pointer, _ connection: some PeerStream) throws {
        let size = plan.size
        let quota = state.pointee.quota
        let base = state.pointee.received
        state.pointee.partial = 0
        let sender = spawn(name: "sender of connection \(state.pointee.number)") { [self] in
            defer { state.pointee.isCatchingUp = false }
            while state.pointee.asked < quota, Deadline.now.nanoseconds < tally.stop {
                state.pointee.asked += 1
                try send(size, state, connection)
            }
            // The last answer may have come before that was known.
            if state.pointee.received == base + state.pointee.asked * size {
                connections[index(of: state)]?.finishReceiving()
            }
        }
        state.pointee.isCatchingUp = true
        defer { LoadSender.stop(sender) }
        state.pointee.waitsSince = Deadline.now.nanoseconds
        while state.pointee.isCatchingUp || state.pointee.received < base + state.pointee.asked * size {
            do {
                state.pointee.waitsSince = try receive(state, connection)
            } catch let failure as LoadFailure where failure.kind == .ended {
                if state.pointee.isCatchingUp || state.pointee.received < state.pointee.sent { throw failure }
                break
            }
            let finished = state.pointee.partial / size
            state.pointee.partial -= finished * size
            state.pointee.answered += finished
            tally.add(finished, to: .messages)
            tally.add(finished * size, to: .bytes)
        }
        state.pointee.waitsSince = .max
    }

    // MARK: Connecting again and again

    func churnAll() throws {
        let churners = states.indices.map { index in
            spawn(name: "churner \(index)") { [self] in try churn(states[index], index) }
        }
        begin()
        for churner in churners { try churner.value() }
    }

    private func churn(_ state: LoadConnection.Pointer, _ index: Int) throws {
        var turn = 0
        while turn < state.pointee.quota, Deadline.now.nanoseconds < tally.stop {
            let number = plan.own.lowerBound + index + turn * plan.connections
            let next = LoadConnection(number: number, quota: state.pointee.quota)
            state.pointee = next
            try attempt(state) { try visit(state, index, turn) }
            // A service that refuses is not asked as fast as the machine can.
            if state.pointee.isOver { try Greenlet.sleep(for: .milliseconds(10)) }
            turn += 1
        }
    }

    /// From the connect to the last byte of the answer, which is one message's latency.
    private func visit(_ state: LoadConnection.Pointer, _ index: Int, _ turn: Int) throws {
        let asked = Deadline.now.nanoseconds
        let stream = try connect(state, plan.source(state.pointee.number))
        connections[index] = stream
        defer {
            stream.close()
            connections[index] = nil
        }
        switch stream {
        case .plain(let connection): try visit(state, connection, asked)
        case .tls(let connection): try visit(state, connection, asked)
        }
    }

    private func visit(_ state: LoadConnection.Pointer, _ connection: some PeerStream, _ asked: Int64) throws {
        state.pointee.waitsSince = asked
        state.pointee.asked = 1
        let sender = plan.size > LoadHub.safeInFlight ? LoadSender(self, state, connection) : nil
        defer { sender?.stop() }
        if let sender { sender.send(plan.size) } else { try send(plan.size, state, connection) }
        var now = asked
        while state.pointee.received < plan.size {
            now = try receive(state, connection)
            state.pointee.waitsSince = now
        }
        state.pointee.waitsSince = .max
        state.pointee.answered = 1
        record(state, asked: asked, answered: now)
        tally.add(1, to: .opened)
        tally.add(1, to: .messages)
        tally.add(plan.size, to: .bytes)
    }

    // MARK: What is wrong with an answer

    @inline(never)
    private func ended(_ state: LoadConnection.Pointer) -> LoadFailure {
        LoadFailure(
            kind: .ended,
            text: "connection \(state.pointee.number): the service has ended the stream \(debt(of: state))")
    }

    @inline(never)
    private func surplus(_ state: LoadConnection.Pointer) -> LoadFailure {
        LoadFailure(
            kind: .tooManyBytes,
            text:
                "connection \(state.pointee.number): \(state.pointee.received) bytes came, \(state.pointee.sent) were sent"
        )
    }

    @inline(never)
    private func mismatch(_ state: LoadConnection.Pointer, _ bytes: UnsafeRawBufferPointer) -> LoadFailure {
        let received = state.pointee.received
        let difference = text.difference(at: state.pointee.place + received, bytes)
        let guess = difference.guess.map { " (\($0))" } ?? ""
        return LoadFailure(
            kind: .wrongBytes,
            text: """
                connection \(state.pointee.number), offset \(received + difference.offset): expected \
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
