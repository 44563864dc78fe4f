import Glibc
import GreenNet
import GreenTLS
import Logging
import ProgramKit

/// Writes every line of the log.  A message is always the same, and what differs is in the fields.
///
/// Lines name peers and sizes; a trace alone shows what was sent.
struct ServerLog: Sendable {
    private let logger: Logger
    private let sink: LogSink
    /// Asked for each event.
    private let level: @Sendable () -> Logger.Level

    init(level: @escaping @Sendable () -> Logger.Level, format: LogFormat) {
        self.init(level: level, LogSink(format))
    }

    /// Writes to another place than standard error: for tests.
    init(level: Logger.Level, _ sink: LogSink) { self.init(level: { level }, sink) }

    private init(level: @escaping @Sendable () -> Logger.Level, _ sink: LogSink) {
        (self.sink, self.level) = (sink, level)
        logger = Logger(label: "echo-server") { _ in SinkLogHandler(sink, level: level) }
    }

    /// Lines that this process could not write.
    var droppedLines: Int { sink.droppedLines }

    // MARK: The service

    /// A line for each address, and one for the limits.
    func listening(on addresses: [SocketAddress], _ settings: Settings, _ shared: SharedState) {
        listening(on: addresses, settings)
        limits(settings, shared)
    }

    /// What a reload has opened and closed.
    func listenersChanged(_ change: ListenerChange, _ settings: Settings) {
        listening(on: change.added.map(\.address), settings)
        for place in change.removed {
            logger.notice("no longer listening on", metadata: ["address": "\(place.address)"])
        }
    }

    private func listening(on addresses: [SocketAddress], _ settings: Settings) {
        let numbers = [
            "workers": settings.workers > 1 ? settings.workers : nil, "processes": settings.processes,
        ]
        var fields: Logger.Metadata = [
            "model": "\(settings.model)", "transform": "\(settings.transform)", "pid": .number(getpid()),
        ]
        fields.merge(numbers.compactMapValues { $0.map { .number($0) } }) { $1 }
        fields["pool_size"] = settings.pool.map { $0.changes ? "\($0)" : .number($0.most) }
        for address in addresses {
            fields["address"] = "\(address)"
            logger.notice("listening on", metadata: fields)
        }
        if let address = addresses.first(where: { !$0.isLocal }) { warnOfExposure(of: address, settings.missingLimits) }
    }

    private func warnOfExposure(of address: SocketAddress, _ missing: [String]) {
        if missing.isEmpty { return }
        logger.warning(
            "reachable from other machines without per-client limits; consider setting them",
            metadata: ["address": "\(address)", "missing_limits": .string(missing.joined(separator: ", "))])
    }

    func administered(at address: SocketAddress) {
        let scheme = if case .unix = address { "" } else { "http://" }
        logger.notice("admin on", metadata: ["admin_address": "\(scheme)\(address)"])
        if address.isLocal { return }
        logger.warning(
            "admin interface is reachable from other machines without authentication",
            metadata: ["admin_address": "\(address)"])
    }

    func adminIgnored(_ wanted: Endpoint) {
        logger.notice(
            "ignoring --admin: using the socket named admin that was passed in by the service manager",
            metadata: ["admin_address": "\(wanted)"])
    }

    func withoutAdmin(_ wanted: Endpoint, _ failure: StartFailure) {
        logger.error(
            "serving without --admin; pass in a socket with FileDescriptorName=admin instead",
            metadata: ["admin_address": "\(wanted)", "error": .string(failure.message)])
    }

    func servesUnusual(_ name: String, at address: SocketAddress) {
        logger.notice(
            "serving a socket with an unknown name like a socket named echo",
            metadata: ["name": "\(name)", "address": "\(address)"])
    }

    /// With a warning where the certificate is not valid now: clients will refuse it.
    func servesTLS(_ certificate: TLSCertificate) {
        let fields: Logger.Metadata = [
            "subject": .string(certificate.subject), "names": .string(certificate.names.joined(separator: ", ")),
            "valid_until": .number(certificate.validity.upperBound),
        ]
        logger.notice("serving TLS only", metadata: fields)
        if certificate.validity.contains(time(nil)) { return }
        logger.warning("the TLS certificate is not valid now; clients will refuse it", metadata: fields)
    }

    func tookOver(_ count: Int) {
        logger.notice("took the listeners of another instance over", metadata: ["listeners": .number(count)])
    }

    func upgrading(_ process: pid_t) {
        logger.notice("starting the next instance", metadata: ["next_pid": .number(process)])
    }

    func isUpgrading() { logger.warning("the next instance is starting already") }

    func takenOver() { logger.notice("another instance has taken the listeners over; draining") }

    func notTakenOver(_ error: any Error) {
        logger.warning("the listeners were not taken over; serving on", metadata: ["reason": .string("\(error)")])
    }

    func cannotGiveAway(_ error: any Error) {
        logger.error("no other instance can take over", metadata: ["error": .string("\(error)")])
    }

    /// The service goes on there with the options it had.
    func notAdjusted(_ error: any Error) {
        logger.error("a listener keeps its old options", metadata: ["error": .string("\(error)")])
    }

    func servesDatagrams(at address: SocketAddress) {
        logger.notice("serving datagrams", metadata: ["address": "\(address)"])
    }

    /// So that faults on purpose are not taken for others, and the run can be repeated.
    func injectsFaults(_ seed: UInt64) {
        logger.warning("connections get faults on purpose", metadata: ["fault_seed": .string("\(seed)")])
    }

    /// By a forked process, after the process that forked it has read it.
    func certificateNotRead(_ error: TLSContextError) {
        logger.error("TLS certificate not reloaded; keeping the old one", metadata: ["error": .string("\(error)")])
    }

    private func limits(_ settings: Settings, _ shared: SharedState) {
        let places = shared.admission.places
        logger.notice(
            "connection limit",
            metadata: ["max_connections": .number(places), "descriptor_limit": .number(shared.descriptorLimit)])
        if let wanted = settings.maxConnections, wanted > places {
            logger.warning(
                "max-connections reduced by the descriptor limit or pool size",
                metadata: ["max_connections": .number(places), "wanted_connections": .number(wanted)])
        }
    }

    func lameDuck(_ counters: Counters, signal: Int32, for time: Duration) {
        logger.notice(
            "still accepting, but not ready; going to stop",
            metadata: [
                "signal": .string(name(of: signal)), "open": .number(counters.open), "lame_duck": .seconds(time),
            ])
    }

    func draining(_ counters: Counters, signal: Int32, within time: Duration) {
        logger.notice(
            "no longer accepting; waiting for clients to finish",
            metadata: [
                "signal": .string(name(of: signal)), "open": .number(counters.open), "drain_timeout": .seconds(time),
            ])
    }

    func endingAtOnce(_ signal: Int32) {
        logger.notice("second signal: ending at once", metadata: ["signal": .string(name(of: signal))])
    }

    func stopped(_ counters: Counters) { logger.notice("stopped", metadata: counters.fields) }
    func state(_ counters: Counters) { logger.notice("state", metadata: counters.fields) }

    /// A line for each green thread: these lines are text for people, and have no fields.
    ///
    /// To be called in a green thread.  It gives way after every 64 lines, so that a long dump neither holds up the hub's other green threads nor
    /// overruns the reader of the log.
    func dump(_ hub: Hub) {
        logger.notice("green threads:")
        for (index, line) in hub.description.split(separator: "\n").enumerated() {
            logger.notice("\(line)")
            if index % 64 == 63, (try? Greenlet.sleep(for: .milliseconds(1))) == nil { return }
        }
    }

    func unknownVariables(_ variables: [OwnVariables.Unknown]) {
        for variable in variables {
            var fields: Logger.Metadata = ["variable": .string(variable.name)]
            if let nearest = variable.nearest { fields["nearest"] = .string(nearest) }
            logger.warning("unknown variable in the environment", metadata: fields)
        }
    }

    func failed(_ error: any Error) { logger.error("worker process failed", error: error) }
    func addressIgnored() {
        logger.notice(
            "ignoring host, port and unix-socket: using the sockets passed in by the service manager")
    }

    func reloaded(_ result: LiveSettings.Reload) {
        func list(_ names: [String]) -> Logger.MetadataValue {
            .string(names.isEmpty ? "none" : names.joined(separator: ", "))
        }
        logger.notice(
            "settings reloaded", metadata: ["changed": list(result.changed), "need_restart": list(result.needRestart)])
    }

    func notReloaded(_ failure: StartFailure) {
        logger.error(
            "settings not reloaded; keeping the old ones", metadata: ["error": .string(failure.message)])
    }

    // MARK: Workers

    func died(_ pid: pid_t, _ status: ChildStatus) {
        let worker: Logger.Metadata = ["worker": .number(pid)]
        if status.raw == 0 { return logger.info("worker process ended", metadata: worker) }
        let end: Logger.Metadata =
            if let signal = status.signal { ["killed_by": .number(signal)] } else {
                ["exit_code": .number(status.exitCode)]
            }
        logger.warning("worker process died", metadata: worker.merging(end) { $1 })
    }

    /// All of a pool were busy, or some of it idle for a while.
    func poolChanged(to size: Int) {
        logger.info("pool size changed", metadata: ["pool_size": .number(size)])
    }

    func stuck(_ pid: pid_t, _ silence: Duration) {
        logger.warning(
            "killing a worker process that does not respond",
            metadata: ["worker": .number(pid), "silence": .seconds(silence)])
    }

    func cannotFork(_ error: SystemError) {
        logger.error("cannot fork a worker process", error: error, metadata: ["call": "fork"])
    }

    /// `error` is nil where it has run.
    func withoutForkServer(for time: Duration, _ error: SystemError? = nil) {
        logger.warning(
            error == nil
                ? "the fork server has ended; forking from this process for a time"
                : "cannot start the fork server; forking from this process for a time",
            error: error, metadata: ["program": .string(ForkServer.path ?? ""), "time": .seconds(time)])
    }

    func forkServerStartedAgain(_ pid: pid_t) {
        logger.notice("the fork server was started again", metadata: ["fork_server": .number(pid)])
    }

    // MARK: Connections

    /// Logs and counts the events of `server`.  Ends the process where `server` can't accept any more, so that the supervisor or the service manager
    /// starts another: a process that accepts no client would stay.
    ///
    /// `admission` is the server's own.
    func follow(
        _ server: StreamServer, _ counters: CounterRow, _ admission: AdmissionRow,
        beforeExit: @escaping () -> Void = {}
    ) {
        server.onStart = { counters.add(to: .accepted) }
        server.onEnd = { end in counters.add(to: Counter(end)) }
        server.onAcceptEvent = { event, listener in
            accept(event, listener, counters, admission)
            guard case .stopped = event else { return }
            beforeExit()
            _exit(ExitStatus.system.rawValue)
        }
    }

    private func accept(
        _ event: AcceptEvent, _ listener: Listener, _ counters: CounterRow, _ admission: AdmissionRow
    ) {
        let here: Logger.Metadata = ["address": "\(listener.address)"]
        switch event {
        case .paused(let error):
            counters.add(to: .acceptPaused)
            logger.warning("not accepting for now", error: error, metadata: here)
        case .resumed: logger.notice("accepting again", metadata: here)
        case .skipped(let error):
            counters.add(to: .lostBeforeAccept)
            logger.info("connection lost before it was accepted", error: error, metadata: here)
        case .refused(let peer, let refusal):
            counters.add(to: admission.counter(of: refusal))
            refused(peer, refusal, admission)
        case .stopped(let error): logger.error("cannot accept any more", error: error, metadata: here)
        case .hubEnded: break  // each hub of this program has a server of its own
        }
    }

    /// Logs and counts a client that an OS thread has accepted by itself, and that `admission` has refused.
    func refused(_ peer: SocketAddress, _ counters: CounterRow, _ admission: AdmissionRow) {
        counters.add(to: admission.counter(of: .peerFull))
        refused(peer, .peerFull, admission)
    }

    private func refused(_ peer: SocketAddress, _ refusal: Refusal, _ admission: AdmissionRow) {
        switch refusal {
        case .full: logger.debug("refused", metadata: ["peer": "\(peer)", "refusal": "full"])
        case .peerFull:
            let reason = admission.lastRefusal ?? .peerFull
            logger.debug("refused", metadata: ["peer": "\(peer)", "refusal": .string(snakeCase(reason.rawValue))])
        case .noContext(let error):
            logger.debug("refused", error: error, metadata: ["peer": "\(peer)", "refusal": "no_context"])
        }
    }

    /// A client that went away or was too slow is expected: a debug line.  Any other end is a warning.
    func connectionFailed(_ error: any Error) {
        let end = ConnectionEnd(error)
        var fields: Logger.Metadata = ["connection_end": .string(snakeCase("\(end)"))]
        var error = error
        if let proxied = error as? ProxiedFailure {
            fields["proxied_peer"] = "\(proxied.client)"
            error = proxied.error
        }
        if let error = error as? ClientFailure { return clientRefused(error) }
        if let error = error as? TLSError, error.call == .handshake { return handshakeFailed(error, end, fields) }
        logger.log(level: end == .failed ? .warning : .debug, "connection ended", error: error, metadata: fields)
    }

    /// Any scanner makes handshakes fail: no warning.
    private func handshakeFailed(_ error: TLSError, _ end: ConnectionEnd, _ fields: Logger.Metadata) {
        logger.log(
            level: end == .failed ? .info : .debug, "TLS handshake failed", error: error, metadata: fields)
    }

    /// Any scanner sends what is no header: no warning.
    private func clientRefused(_ failure: ClientFailure) {
        let peer: Logger.Metadata = ["peer": "\(failure.peer)"]
        switch failure.reason {
        case .header(let error):
            logger.info(
                "PROXY header refused",
                metadata: peer.merging([
                    "reason": .string(snakeCase(error.reason.rawValue)), "error": .string(error.description),
                ]) { $1 })
        case .refused(let refusal):
            let client = failure.client ?? failure.peer
            logger.debug(
                "refused",
                metadata: peer.merging([
                    "proxied_peer": "\(client)", "refusal": .string(snakeCase(refusal.rawValue)),
                ]) { $1 })
        }
    }

    /// What a proxy has said of its client.
    func proxied(_ header: ProxyHeader, by peer: SocketAddress) {
        guard logger.logLevel <= .debug else { return }
        let extensions = header.extensions
        let texts = [
            "proxied_peer": header.ends.map { "\($0.source)" },
            "proxied_local": header.ends.map { "\($0.destination)" },
            "alpn": extensions.alpn, "authority": extensions.authority, "netns": extensions.namespace,
            "unique_id": extensions.uniqueID.map { percentEncoded($0) }, "tls_version": extensions.tls?.version,
            "tls_cipher": extensions.tls?.cipher, "tls_client": extensions.tls?.commonName,
        ]
        var fields: Logger.Metadata = ["peer": "\(peer)", "version": .string(header.version.rawValue)]
        fields.merge(texts.compactMapValues { $0.map { .string($0) } }) { $1 }
        logger.debug("PROXY header", metadata: fields)
    }

    /// Logs what a connection receives; nil above the level trace.  The handler asks once, so that other levels cost nothing for each read.
    var payloadTracer: (@Sendable (UnsafeRawBufferPointer, SocketAddress) -> Void)? {
        guard level() <= .trace else { return nil }
        return { bytes, peer in received(bytes, from: peer) }
    }

    /// How many of the received bytes are shown.
    static let tracedBytes = 64

    /// Only here does something that a client has sent get into the log: escaped, and cut.
    private func received(_ bytes: UnsafeRawBufferPointer, from peer: SocketAddress) {
        logger.trace(
            "received",
            metadata: [
                "peer": "\(peer)", "bytes": .number(bytes.count),
                "payload": .string(percentEncoded(bytes.prefix(ServerLog.tracedBytes))),
            ])
    }

    private func name(of signal: Int32) -> String {
        switch signal {
        case SIGTERM: "TERM"
        case SIGINT: "INT"
        default: "signal \(signal)"
        }
    }
}

extension Counters {
    /// The number of open connections, and the counters that are not zero.
    fileprivate var fields: Logger.Metadata {
        let totals = totals
        var fields: Logger.Metadata = ["open": .number(totals.open)]
        for counter in Counter.allCases {
            let total = totals[counter]
            if total != 0 || counter == .accepted { fields[snakeCase("\(counter)")] = .number(total) }
        }
        return fields
    }
}
