import Glibc
import GreenNet
import Logging

/// Every line of the log is written here.  Peers and sizes are told, never what was sent.
struct ServerLog: Sendable {
    private let logger: Logger

    init(level: Logger.Level) {
        var logger = Logger(label: "echo-server") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        self.logger = logger
    }

    // MARK: The service

    func listening(on address: SocketAddress, _ settings: Settings, _ shared: SharedState) {
        let arrangement = [
            settings.workers > 1 ? " workers=\(settings.workers)" : "",
            settings.processes.map { " processes=\($0)" } ?? "",
            settings.poolSize.map { " pool-size=\($0)" } ?? "",
        ].joined()
        logger.notice(
            "listening on \(address) model=\(settings.model) transform=\(settings.transform) pid=\(getpid())\(arrangement)"
        )
        let places = shared.admission.places
        logger.notice("up to \(places) connections at once; the descriptor limit is \(shared.descriptorLimit)")
        if let wanted = settings.maxConnections, wanted > places {
            logger.warning(
                "max-connections is \(places) and not \(wanted): there are no more descriptors, or workers in the pool")
        }
    }

    func draining(_ counters: Counters, signal: Int32, within time: Duration) {
        logger.notice("\(name(of: signal)): no longer accepting; \(counters.open) connections have \(time) to finish")
    }

    func endingAtOnce(_ signal: Int32) { logger.notice("\(name(of: signal)) again: ending at once") }
    func stopped(_ counters: Counters) { logger.notice("stopped: \(counters)") }
    func state(_ counters: Counters) { logger.notice("state: \(counters)") }
    func dump(_ hub: Hub) { logger.notice("green threads:\n\(hub)") }
    func failed(_ error: any Error) { logger.error("this process has failed: \(error)") }

    // MARK: Workers

    func died(_ pid: pid_t, _ status: ChildStatus) {
        if status.raw == 0 { return logger.info("worker \(pid) has ended") }
        logger.warning("worker \(pid) has died: \(status)")
    }

    func cannotFork(_ error: Errno) { logger.error("can't fork a worker: \(error)") }

    // MARK: Connections

    /// Writes and counts what `server` tells.
    func follow(_ server: StreamServer, _ counters: CounterRow) {
        server.onStart = { counters.add(to: .accepted) }
        server.onEnd = { end in counters.add(to: Counter(end)) }
        server.onAcceptEvent = { event, listener in accept(event, listener, counters) }
    }

    private func accept(_ event: AcceptEvent, _ listener: Listener, _ counters: CounterRow) {
        switch event {
        case .paused(let error): logger.warning("not accepting for now: \(error)")
        case .resumed: logger.notice("accepting again on \(listener.address)")
        case .skipped(let error):
            counters.add(to: .lostBeforeAccept)
            logger.info("a connection was lost before it was accepted: \(error)")
        case .refused(let peer, let refusal):
            counters.add(to: Counter(refusal))
            logger.debug("refused \(peer): \(refusal)")
        case .stopped(let error): logger.error("accepting has ended: \(error)")
        }
    }

    /// A client that went away, or was too slow, is nothing to worry about; anything else deserves a look.
    func connectionFailed(_ error: any Error) {
        let level: Logger.Level = ConnectionEnd(error) == .failed ? .warning : .debug
        logger.log(level: level, "connection ended: \(error)")
    }

    private func name(of signal: Int32) -> String {
        switch signal {
        case SIGTERM: "TERM"
        case SIGINT: "INT"
        default: "signal \(signal)"
        }
    }
}
