import Glibc

/// What a failed accept means for the loop that accepts.
enum AcceptFailure {
    /// That one connection was lost before it was accepted; the next one may be fine.
    case skip
    /// The process or the system has no descriptor or no memory left: pause, and try again.
    case pause
    /// The listener is closed or broken.
    case stop

    init(_ error: NetError) {
        switch error.errno?.code {
        case nil, EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, EFAULT: self = .stop
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: self = .pause
        default: self = .skip  // accept(2) hands over what is wrong with the new connection's network
        }
    }
}

/// What the accept loop tells whoever keeps the log.
public enum AcceptEvent {
    /// Out of descriptors or memory: nothing is accepted for a while.  Told once, until it accepts again.
    case paused(any Error)
    /// It accepts again.
    case resumed
    /// One connection was lost before it was accepted.
    case skipped(NetError)
    /// The listener is of no more use; the loop has ended.
    case stopped(NetError)
}

/// Accepts connections from one listener and hands each over, in a green thread of its own.
///
/// A few for each wake-up, after which the connections being served have their turn.  Whatever goes wrong with one connection, the loop
/// goes on; where the process is out of descriptors, it pauses, since the listener would else say "readable" for ever.
struct AcceptLoop {
    let listener: Listener
    let handOver: (Connection) throws -> Void
    let report: (AcceptEvent) -> Void

    static let batch = 64
    /// Where descriptors come and go one by one, it pauses and goes on by turns: that is told no more often than this.
    static let reportInterval = Duration.seconds(1)
    private var backOff = BackOff()
    private var pauseReported: Deadline?

    init(_ listener: Listener, handOver: @escaping (Connection) throws -> Void, report: @escaping (AcceptEvent) -> Void)
    {
        (self.listener, self.handOver, self.report) = (listener, handOver, report)
    }

    /// Runs until the listener is closed or the green thread is killed.
    mutating func run() throws(WaitError) {
        while true {
            do throws(NetError) {
                try acceptBatch()
            } catch {
                switch (error.waitError, AcceptFailure(error)) {
                case (.closed, _): return
                case (let ending?, _): throw ending
                case (nil, .skip): report(.skipped(error))
                case (nil, .pause): try pause(error)
                case (nil, .stop): return report(.stopped(error))
                }
            }
        }
    }

    private mutating func acceptBatch() throws(NetError) {
        try serve(try listener.accept())
        for _ in 1..<AcceptLoop.batch {
            guard let connection = try listener.acceptNow() else { return }
            try serve(connection)
        }
        Hub.currentThread.giveWay()
    }

    /// Takes what the kernel has queued, so that closing the listener resets nobody.
    mutating func acceptQueued() {
        while let connection = try? listener.acceptNow() { try? serve(connection) }
    }

    private mutating func serve(_ connection: Connection) throws(NetError) {
        do {
            try handOver(connection)
        } catch {
            // No stack, say.  That one client is refused.
            connection.close()
            throw NetError(.accept, result: -Int(ENOMEM), connection.peer)
        }
        if backOff.isActive { resume() }
    }

    private mutating func pause(_ error: NetError) throws(WaitError) {
        if pauseReported == nil {
            pauseReported = .now
            report(.paused(error))
        }
        try Greenlet.sleep(for: backOff.next())
    }

    private mutating func resume() {
        backOff.reset()
        guard let reported = pauseReported, .now - reported >= AcceptLoop.reportInterval else { return }
        pauseReported = nil
        report(.resumed)
    }
}
