/// Connects to the first of several addresses that answers, as RFC 8305 ("Happy Eyeballs") has it: the attempts begin one after the other, each
/// while those before it go on, and when one has succeeded the others are closed.
///
/// One green thread waits for all of them.  Dropped before its end, it closes what it has opened.
struct ConnectionRace: ~Copyable {
    /// How long an attempt goes on alone before the next one begins: the RFC's Connection Attempt Delay.
    static let attemptDelay = Duration.milliseconds(250)

    /// What errors call the service: its name and port.
    private let host: String
    private var untried: ArraySlice<SocketAddress>
    /// Under way, in the order in which they began.
    private var pending: [Connection] = []
    private var failures: [NetError] = []
    /// Set before each attempt.
    private let options: [SocketOption]
    /// When the next attempt begins, though none before it has ended.
    private var nextAttempt = Deadline.now

    init(to host: String, _ addresses: [SocketAddress], options: [SocketOption] = []) {
        require(!addresses.isEmpty, "\(host) was looked up, and has no address")
        (self.host, self.options) = (host, options)
        untried = ConnectionRace.order(addresses)[...]
    }

    deinit { for connection in pending { connection.close() } }

    /// The families by turns, beginning with that of the first, and otherwise as they come: where one family leads nowhere, each second attempt
    /// goes the other way.  An address that comes twice is tried once.
    static func order(_ addresses: [SocketAddress]) -> [SocketAddress] {
        var known: Set<SocketAddress> = []
        let addresses = addresses.filter { known.insert($0).inserted }
        let first = addresses.filter { $0.family == addresses[0].family }
        let second = addresses.filter { $0.family != addresses[0].family }
        let pairs = (0..<max(first.count, second.count)).map {
            first.dropFirst($0).prefix(1) + second.dropFirst($0).prefix(1)
        }
        return pairs.flatMap { $0 }
    }

    /// Waits for the first connection.  Throws where all attempts have failed, when `deadline` has passed, and when killed.
    mutating func run(until deadline: Deadline) throws(NetError) -> Connection {
        while !untried.isEmpty || !pending.isEmpty {
            let connection = try isNextDue ? beginNext() : waitForAnswer(until: deadline)
            if let connection { return connection }
        }
        throw NetError(host, failures)
    }

    private var isNextDue: Bool { !untried.isEmpty && (pending.isEmpty || nextAttempt.hasPassed) }

    /// Nil where it has no answer yet, or can't have any.
    private mutating func beginNext() throws(NetError) -> Connection? {
        do throws(NetError) {
            let (connection, isConnected) = try Connection.beginConnecting(
                to: untried.removeFirst(), options: options)
            if isConnected { return connection }
            pending.append(connection)
            nextAttempt = .after(ConnectionRace.attemptDelay)
            return nil
        } catch {
            failures.append(error)
        }
        // There may be many that fail at once.
        do throws(WaitError) { try Pause.giveWay() } catch { throw ended(by: error) }
        return nil
    }

    private mutating func waitForAnswer(until deadline: Deadline) throws(NetError) -> Connection? {
        let limit = untried.isEmpty ? deadline : min(deadline, nextAttempt)
        let error = Socket.waitUntilOneIsWritable(pending.map(\.socket), until: limit)
        if let error, error != .deadlinePassed { throw ended(by: error) }
        // Also when the time is over: the process may have been stopped meanwhile, and the answer be there.
        if let connection = takeAnswered() { return connection }
        if deadline.hasPassed { throw ended(by: .deadlinePassed) }
        return nil
    }

    /// Takes out those that have failed, up to one that has succeeded.
    private mutating func takeAnswered() -> Connection? {
        for connection in pending {
            guard let result = connection.connectResult else { continue }
            pending.removeAll { $0 === connection }
            if result == 0 { return connection }
            connection.close()
            failures.append(NetError(.connect, result: result, connection.peer))
            nextAttempt = .now
        }
        return nil
    }

    /// Those under way end for the same reason as all.
    private func ended(by error: WaitError) -> NetError {
        let unanswered = pending.map { NetError(.connect, .wait(error), $0.peer) }
        return NetError(host, failures + unanswered, .wait(error))
    }
}
