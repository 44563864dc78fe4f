import GreenNet
import GreenTLS
import ProgramKit

/// The connections of one OS thread: opens them, loads them, checks what they answer, and measures.
///
/// Belongs to the hub on which it was made.
final class LoadHub {
    let plan: LoadPlan
    let tally: Tally
    let text: LoadText
    let states: LoadConnections
    /// Nil where there is none, or no more.
    var connections: [ServiceStream?]
    /// Nil without TLS.
    private let tls: (client: TLSClient, context: TLSContext)?
    /// Raw memory, as all that changes with every message.
    let latencies = UnsafeMutablePointer<Latencies>.allocate(capacity: 1)
    let longest = UnsafeMutablePointer<LoadResult.LongestWait>.allocate(capacity: 1)
    private(set) var connecting = Latencies()
    var lateness = Latencies()
    private var failures = LoadFailures()
    private var openedCount = 0
    /// When the measurement began, in nanoseconds of the monotonic clock; 0 before.
    private(set) var start: Int64 = 0
    /// With a rate: all that shall be asked has been.
    var isPaced = false

    /// Fewer than any service's backlog: a connect that the kernel drops takes a second.
    private static let openedAtOnce = 64
    /// At the end of `hold`, by all hubs together; but each asks on one at least.
    private static let askedAtOnce = 64

    /// Throws where TLS has no files to begin with.
    init(_ plan: LoadPlan, _ tally: Tally) throws {
        tls = try plan.tls.map { ($0, try $0.context(resumesSessions: false)) }
        (self.plan, self.tally) = (plan, tally)
        text = LoadText(plan.transform)
        states = LoadConnections(plan)
        connections = Array(repeating: nil, count: plan.own.count)
        latencies.initialize(to: Latencies())
        longest.initialize(to: .init(wait: 0, connection: 0, message: 0, asked: 0))
    }

    // MARK: Opening

    /// Opens all, with some at once, and has a few bytes answered on each: then the service has really accepted it.
    func openAll() throws {
        guard plan.mode != .churn else { return }
        let begin = Deadline.now
        let next = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        next.initialize(to: 0)
        defer { next.deallocate() }
        let openers = (0..<min(LoadHub.openedAtOnce, states.count)).map { number in
            spawn(name: "opener \(number)") { [self] in
                while next.pointee < states.count, tally.stop == .max, !isHopeless {
                    next.pointee += 1
                    try openInTurn(next.pointee - 1, begin)
                }
            }
        }
        let watchdog = startWatchdog()
        defer { watchdog.kill() }
        for opener in openers { try opener.value() }
    }

    /// To open more is of no use: they would fail as well, each after the time limit.
    private var isHopeless: Bool {
        let failed = tally.value(of: .failures)
        return plan.endsAtFailure ? failed > 0 : openedCount == 0 && failed >= LoadHub.openedAtOnce
    }

    private func openInTurn(_ index: Int, _ begin: Deadline) throws {
        let state = states[index]
        let turn = plan.ramp / plan.connections * state.pointee.number
        while (begin + turn) > .now, tally.stop == .max {
            try Greenlet.sleep(for: min(.milliseconds(50), begin + turn - .now))
        }
        try attempt(state) {
            let connection = try connect(state, plan.source(state.pointee.number))
            connections[index] = connection
            switch connection {
            case .plain(let connection): try greet(state, connection)
            case .tls(let connection): try greet(state, connection)
            }
            tally.add(1, to: .opened)
        }
    }

    func connect(_ state: LoadConnection.Pointer, _ source: SocketAddress?) throws -> ServiceStream {
        let begin = Deadline.now
        let connection = try Connection.connect(to: plan.target, from: source, until: begin + plan.timeout)
        if let version = plan.proxyHeader {
            try ProxyHeader.send(version, on: connection, until: begin + plan.timeout)
        }
        let stream: ServiceStream =
            if let tls { .tls(try tls.client.secure(connection, tls.context, until: begin + plan.timeout)) } else {
                .plain(connection)
            }
        connecting.record((Deadline.now - begin).nanoseconds)
        openedCount += 1
        return stream
    }

    private func greet(_ state: LoadConnection.Pointer, _ connection: some PeerStream) throws {
        let greeting = text.piece(at: state.pointee.place, min(plan.size, 64))
        state.pointee.waitsSince = Deadline.now.nanoseconds
        try connection.sendAll(greeting, until: .never)
        state.pointee.sent = greeting.count
        while state.pointee.received < greeting.count { state.pointee.waitsSince = try receive(state, connection) }
        state.pointee.waitsSince = .max
    }

    // MARK: Measuring

    /// Loads all until the time is over or all messages are answered.
    func measure() throws {
        let watchdog = startWatchdog()
        defer { watchdog.kill() }
        switch plan.mode {
        case .steady where plan.rate != nil: try loadAtRate()
        case .steady:
            try eachConnection { [self] state, connection in
                switch connection {
                case .plain(let connection): try converse(state, connection)
                case .tls(let connection): try converse(state, connection)
                }
            }
        case .churn: try churnAll()
        case .hold: try hold()
        case .bulk:
            try eachConnection { [self] state, connection in
                switch connection {
                case .plain(let connection): try stream(state, connection)
                case .tls(let connection): try stream(state, connection)
                }
            }
        }
    }

    /// The measurement begins: after the green threads were made, which takes its time where there are many, and before any of them runs.
    func begin() {
        start = Deadline.now.nanoseconds
        guard let duration = plan.duration else { return }
        let stop = Deadline(nanoseconds: start) + duration
        tally.stop(at: stop)
        // Those that were held are asked only then.
        if plan.mode != .hold { tally.end(at: stop + plan.patience) }
    }

    /// Waits for the end of `work`, which is this hub's, or for the moment after which no answer is waited for.
    func wait(for work: Greenlet<Void>) throws {
        while !tally.end.hasPassed {
            // The moment may be set from another OS thread meanwhile.
            if try work.join(until: min(tally.end, .after(.milliseconds(50)))) { return try work.value() }
        }
    }

    var result: LoadResult {
        var result = LoadResult()
        result.opened = openedCount
        result.messages = tally.value(of: .messages)
        result.bytes = tally.value(of: .bytes)
        // It may have been ended while it was still opening.
        result.elapsed = start == 0 ? .zero : Deadline.now - Deadline(nanoseconds: start)
        (result.latencies, result.connecting, result.lateness) = (latencies.pointee, connecting, lateness)
        if longest.pointee.wait > 0 { result.note(longest.pointee) }
        result.inFlight = inFlight
        result.failures = failures
        return result
    }

    private var inFlight: LoadResult.InFlight {
        var sum = LoadResult.InFlight()
        let now = Deadline.now.nanoseconds
        for index in states.indices where !states[index].pointee.isOver {
            let state = states[index].pointee
            sum.messages += state.asked - state.answered
            sum.bytes += state.asked > state.answered ? state.partial : 0
            if state.waitsSince < now { sum.silence = max(sum.silence, now - state.waitsSince) }
        }
        return sum
    }

    /// Runs `body` for each open connection, on a green thread of its own, and waits until all have ended.
    func eachConnection(_ body: @escaping (LoadConnection.Pointer, ServiceStream) throws -> Void) throws {
        let servers = states.indices.compactMap { index -> Greenlet<Void>? in
            guard let connection = connections[index], !states[index].pointee.isOver else { return nil }
            let state = states[index]
            return spawn { [self] in try attempt(state) { try body(state, connection) } }
        }
        if start == 0 { begin() }
        for server in servers { try server.value() }
    }

    private func hold() throws {
        begin()
        // In short sleeps: a signal may end it.
        while Deadline.now.nanoseconds < tally.stop { try Greenlet.sleep(for: .milliseconds(20)) }
        try askEach()
    }

    /// One message on each, with some at once: stacks for all of them would cost more than the connections themselves, and with all in flight
    /// a latency would only say how many there are.
    private func askEach() throws {
        let next = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        next.initialize(to: 0)
        defer { next.deallocate() }
        let askers = (0..<max(1, LoadHub.askedAtOnce * states.count / plan.connections)).map { number in
            spawn(name: "asker \(number)") { [self] in
                while next.pointee < states.count {
                    next.pointee += 1
                    let index = next.pointee - 1
                    guard let connection = connections[index], !states[index].pointee.isOver else { continue }
                    try attempt(states[index]) {
                        if isMute { throw notAsked(states[index]) }
                        switch connection {
                        case .plain(let connection): try finishHolding(states[index], connection)
                        case .tls(let connection): try finishHolding(states[index], connection)
                        }
                    }
                }
            }
        }
        for asker in askers { try asker.value() }
    }

    /// A whole time limit has passed without any answer on those that were asked first: to ask the others would take as long for each of them.
    private var isMute: Bool { tally.value(of: .messages) == 0 && tally.value(of: .failures) >= LoadHub.askedAtOnce }

    private func notAsked(_ state: LoadConnection.Pointer) -> LoadFailure {
        LoadFailure(
            kind: .noAnswer,
            text:
                "connection \(state.pointee.number): not asked, for none of those before it was answered within \(plan.timeout.text)"
        )
    }

    // MARK: Failures

    /// A failure ends the connection, and is noted.  Throws only what ends the green thread.
    func attempt(_ state: LoadConnection.Pointer, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch WaitError.cancelled {
            throw WaitError.cancelled
        } catch {
            note(state, error)
        }
    }

    private func note(_ state: LoadConnection.Pointer, _ error: any Error) {
        // Sender and receiver of one may both fail.
        if state.pointee.isOver { return }
        state.pointee.isOver = true
        failures.add(error as? LoadFailure ?? failure(state, error))
        tally.add(1, to: .failures)
        let index = index(of: state)
        connections[index]?.close()
        connections[index] = nil
    }

    func index(of state: LoadConnection.Pointer) -> Int {
        (state.pointee.number - plan.own.lowerBound) % plan.connections
    }

    private func failure(_ state: LoadConnection.Pointer, _ error: any Error) -> LoadFailure {
        let whose = "connection \(state.pointee.number)"
        if state.pointee.isTimedOut {
            return LoadFailure(
                kind: .noAnswer, text: "\(whose): nothing came for \(plan.timeout.text), \(debt(of: state))")
        }
        if let error = error as? TLSError, error.call == .handshake {
            return LoadFailure(kind: .notConnected, text: "\(whose): \(error)")
        }
        if let error = error as? TLSError, error.isPeerGone {
            return LoadFailure(kind: .reset, text: "\(whose): \(error), \(debt(of: state))")
        }
        guard let error = error.netError else { return LoadFailure(kind: .other, text: "\(whose): \(error)") }
        switch error.call {
        case .connect, .socket, .bind:
            return LoadFailure(kind: .notConnected, text: "\(whose): \(error)")
        default:
            return LoadFailure(kind: error.isPeerGone ? .reset : .other, text: "\(whose): \(error), \(debt(of: state))")
        }
    }

    /// As in `after 130 of 192 bytes, in message 2`.
    func debt(of state: LoadConnection.Pointer) -> String {
        "after \(state.pointee.received) of \(state.pointee.sent) bytes, in message \(state.pointee.answered)"
    }

    // MARK: The watchdog

    /// Closes the connections that have waited for too long, and so ends whatever waits there: a deadline for each message would cost more.
    private func startWatchdog() -> Greenlet<Void> {
        spawn(name: "watchdog") { [self] in
            while true {
                try Greenlet.sleep(for: max(.milliseconds(1), min(.milliseconds(100), plan.timeout / 4)))
                let limit = Deadline.now.nanoseconds - plan.timeout.nanoseconds
                for index in states.indices
                where states[index].pointee.waitsSince < limit && !states[index].pointee.isOver {
                    states[index].pointee.isTimedOut = true
                    connections[index]?.close()
                }
            }
        }
    }
}
