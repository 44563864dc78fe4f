import Glibc
import GreenNet
import Logging

/// Every line of the log is written here.  Peers and sizes are told, never what was sent.
struct ServerLog {
    private let logger: Logger

    init(level: Logger.Level) {
        var logger = Logger(label: "echo-server") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        self.logger = logger
    }

    func follow(_ server: StreamServer) {
        server.onAcceptEvent = { event, listener in accept(event, listener) }
        server.onConnectionFailure = { connection, error in failed(connection, error) }
    }

    func listening(on address: SocketAddress, _ settings: Settings) {
        logger.notice("listening on \(address) model=green transform=\(settings.transform) pid=\(getpid())")
    }

    func draining(_ server: StreamServer, signal: Int32, within time: Duration) {
        logger.notice(
            "\(name(of: signal)): no longer accepting; \(server.openConnections) connections have \(time) to finish")
    }

    func endingAtOnce(_ signal: Int32) { logger.notice("\(name(of: signal)) again: ending at once") }

    func stopped() { logger.notice("stopped") }

    func dump(_ hub: Hub) { logger.notice("green threads:\n\(hub)") }

    private func accept(_ event: AcceptEvent, _ listener: Listener) {
        switch event {
        case .paused(let error): logger.warning("not accepting for now: \(error)")
        case .resumed: logger.notice("accepting again on \(listener.address)")
        case .skipped(let error): logger.info("a connection was lost before it was accepted: \(error)")
        case .stopped(let error): logger.error("accepting has ended: \(error)")
        }
    }

    /// A client that went away is nothing to worry about; anything else deserves a look.
    private func failed(_ connection: Connection, _ error: any Error) {
        let isOrdinary = (error as? NetError)?.isPeerGone ?? false
        logger.log(level: isOrdinary ? .debug : .warning, "connection ended: \(error)")
    }

    private func name(of signal: Int32) -> String {
        switch signal {
        case SIGTERM: "TERM"
        case SIGINT: "INT"
        default: "signal \(signal)"
        }
    }
}
