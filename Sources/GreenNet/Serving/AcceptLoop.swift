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
        if [.fork, .mmap, .threadCreate].contains(error.call) {
            self = .pause
            return
        }
        switch error.errno?.code {
        case nil, EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, EFAULT: self = .stop
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: self = .pause
        default: self = .skip  // accept(2) hands over what is wrong with the new connection's network
        }
    }
}

/// What the accept loop tells whoever keeps the log and the counters.
public enum AcceptEvent {
    /// Out of descriptors or memory: nothing is accepted for a while.  Told at most once a second.
    case paused(any Error)
    /// It accepts again, after a pause that was told.
    case resumed
    /// One connection was lost before it was accepted.
    case skipped(NetError)
    /// One connection was accepted, and closed at once.
    case refused(SocketAddress, Refusal)
    /// The listener is of no more use; the loop has ended.
    case stopped(NetError)
}

/// Why a connection was closed as soon as it was accepted.
public enum Refusal: Sendable {
    /// The server has as many connections as it may have.
    case full
    /// This peer has as many as it may have.
    case peerFull
    /// The system had no green thread, OS thread or process for it.
    case noContext(any Error)
}

/// Accepts connections from one listener and hands each over.
///
/// A few for each wake-up, after which the connections being served have their turn.  Whatever goes wrong with one connection, the loop
/// goes on; where the process is out of descriptors, it pauses, since the listener would else say "readable" for ever.
struct AcceptLoop {
    private let listener: Listener
    private let server: StreamServer
    private var backOff = BackOff()
    /// When a pause was told whose end was not told yet.
    private var pauseReported: Deadline?

    static let batch = 64
    static let queueLimit = Duration.seconds(1)
    /// Where descriptors come and go one by one, it pauses and goes on by turns: that is told no more often than this.
    static let reportInterval = Duration.seconds(1)

    init(_ listener: Listener, of server: StreamServer) { (self.listener, self.server) = (listener, server) }

    /// Runs until the listener is closed or the green thread is killed.
    mutating func run() throws(WaitError) { while try acceptSome(AcceptLoop.batch) {} }

    /// Waits for connections and accepts so many of them, or fewer.  Returns false once the listener is of no more use.
    mutating func acceptSome(_ most: Int) throws(WaitError) -> Bool {
        do throws(NetError) {
            try acceptBatch(most)
        } catch {
            switch (error.waitError, AcceptFailure(error)) {
            case (.closed, _): return false
            case (let ending?, _): throw ending
            case (nil, .skip):
                report(.skipped(error))
                try Pause.giveWay()
            case (nil, .pause): try pause(error)
            case (nil, .stop):
                server.listenerFailed(error, listener)
                return false
            }
        }
        return true
    }

    private mutating func acceptBatch(_ most: Int) throws(NetError) {
        for _ in 0..<most {
            try listener.waitUntilAcceptable()
            // Only now: a place must not be held while nobody wants it.
            let hasPlace = try server.takePlace()
            guard try acceptOne(hasPlace) else { return }
        }
        do throws(WaitError) {
            try Pause.giveWay(after: AcceptLoop.batch)
        } catch {
            throw NetError(.accept, .wait(error), listener.address)
        }
    }

    /// Takes what the kernel has queued by now, so that closing the listener resets nobody: for a while at most, since a fork, say, takes its
    /// time.  Those for whom there is no place yet wait for one in `server.waiting`.
    mutating func acceptQueued() {
        let deadline = Deadline.after(AcceptLoop.queueLimit)
        var (left, lost) = (listener.queuedConnections, 0)
        while left > 0, !deadline.hasPassed {
            do throws(NetError) {
                let hasPlace = server.admission.reserve()
                guard try hasPlace ? acceptOne(true) : acceptToWait() else { return }
                left -= 1
            } catch {
                // Behind a connection that was lost there may be others.
                lost += 1
                guard AcceptFailure(error) == .skip, lost < AcceptLoop.batch else { return }
            }
        }
    }

    private func acceptToWait() throws(NetError) -> Bool {
        guard let socket = try listener.acceptNow(blocking: server.model.socketsBlock) else { return false }
        let peer = socket.peer
        server.waiting.append(.init(descriptor: socket.releaseDescriptor(), peer: peer))
        return true
    }

    /// Serves one that has waited, in the place that was taken for it.
    mutating func serveLate(_ socket: consuming Accepted) {
        do throws(NetError) { try serve(socket, true) } catch { server.admission.release() }
    }

    /// Returns false where nobody is there.
    private mutating func acceptOne(_ hasPlace: Bool) throws(NetError) -> Bool {
        do throws(NetError) {
            guard let socket = try listener.acceptNow(blocking: server.model.socketsBlock) else {
                if hasPlace { server.admission.release() }
                return false
            }
            try serve(socket, hasPlace)
            if backOff.isActive || pauseReported != nil { resume() }
            return true
        } catch {
            if hasPlace { server.admission.release() }
            throw error
        }
    }

    /// Throws only what asks for a pause: then the place is the caller's to give back.
    private mutating func serve(_ socket: consuming Accepted, _ hasPlace: Bool) throws(NetError) {
        let peer = socket.peer
        guard hasPlace else { return report(.refused(peer, .full)) }
        guard let refusal = server.serve(socket) else { return }
        report(.refused(peer, refusal))
        guard case .noContext(let error) = refusal else { return server.admission.release() }
        throw NetError(server.model.contextCall, .system(error as? SystemError ?? SystemError(ENOMEM)), peer)
    }

    private func report(_ event: AcceptEvent) { server.onAcceptEvent(event, listener) }

    private mutating func pause(_ error: NetError) throws(WaitError) {
        if let makeRoom = server.makeRoom, error.call == .accept {
            // The kernel takes a descriptor before it looks for a client.
            guard listener.looksAcceptable() else { return }
            if try makeRoom() { return }
        }
        if !backOff.isActive, isTimeToReport {
            pauseReported = .now
            report(.paused(error))
        }
        try Pause.wait(for: backOff.next())
    }

    private mutating func resume() {
        backOff.reset()
        guard pauseReported != nil, isTimeToReport else { return }
        pauseReported = nil
        report(.resumed)
    }

    private var isTimeToReport: Bool { pauseReported.map { .now - $0 >= AcceptLoop.reportInterval } ?? true }
}
