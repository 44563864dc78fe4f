import Glibc
import GreenNet
import Logging

/// Every line of the log is written here.  Peers and sizes are told, and what was sent only in a trace.
struct ServerLog: Sendable {
    private let logger: Logger
    private let sink: LogSink

    init(level: Logger.Level, format: LogFormat) { self.init(level: level, LogSink(format)) }

    /// To another place than standard error: for tests.
    init(level: Logger.Level, _ sink: LogSink) {
        self.sink = sink
        logger = Logger(label: "echo-server") { _ in SinkLogHandler(sink, level: level) }
    }

    /// Lines that this process couldn't get rid of.
    var droppedLines: Int { sink.droppedLines }

    // MARK: The service

    /// A line for each address.
    func listening(on addresses: [SocketAddress], _ settings: Settings, _ shared: SharedState) {
        let arrangement = [
            ("workers", settings.workers > 1 ? settings.workers : nil), ("processes", settings.processes),
            ("pool_size", settings.poolSize),
        ].compactMap { name, number in number.map { (name, Logger.MetadataValue.number($0)) } }
        let basics: [(String, Logger.MetadataValue)] = [
            ("model", "\(settings.model)"), ("transform", "\(settings.transform)"), ("pid", .number(getpid())),
        ]
        let words = (basics + arrangement).map { "\($0)=\($1)" }.joined(separator: " ")
        let fields = Logger.Metadata(uniqueKeysWithValues: basics + arrangement)
        for address in addresses {
            logger.notice(
                "listening on \(address) \(words)", metadata: fields.merging(["address": "\(address)"]) { $1 })
        }
        if let address = addresses.first(where: { !$0.isLocal }) { tellExposure(of: address, settings.missingLimits) }
        tellLimits(settings, shared)
    }

    /// One line, whatever is missing.
    private func tellExposure(of address: SocketAddress, _ missing: [String]) {
        if missing.isEmpty { return }
        let names = missing.joined(separator: ", ")
        logger.warning(
            "other machines can reach \(address), and one of them could keep all connections to itself: not limited by \(names)",
            metadata: ["address": "\(address)", "missing_limits": .string(names)])
    }

    func administered(at address: SocketAddress) {
        let scheme = if case .unix = address { "" } else { "http://" }
        logger.notice("admin on \(scheme)\(address)", metadata: ["admin_address": "\(address)"])
        if address.isLocal { return }
        logger.warning(
            "other machines can reach \(address), and the admin interface asks nobody who they are",
            metadata: ["admin_address": "\(address)"])
    }

    func adminIgnored(_ wanted: Endpoint) {
        logger.notice(
            "ignoring --admin: a socket named admin was passed in", metadata: ["admin_address": "\(wanted)"])
    }

    /// It serves all the same.
    func withoutAdmin(_ wanted: Endpoint, _ failure: StartFailure) {
        logger.error(
            "serving without --admin: \(failure.message); pass in a socket with FileDescriptorName=admin instead",
            metadata: ["admin_address": "\(wanted)"])
    }

    func servesUnusual(_ name: String, at address: SocketAddress) {
        logger.notice(
            "a socket with an unknown name was passed in, and is served like one named echo",
            metadata: ["name": "\(name)", "address": "\(address)"])
    }

    private func tellLimits(_ settings: Settings, _ shared: SharedState) {
        let places = shared.admission.places
        logger.notice(
            "up to \(places) connections at once; the descriptor limit is \(shared.descriptorLimit)",
            metadata: ["max_connections": .number(places), "descriptor_limit": .number(shared.descriptorLimit)])
        if let wanted = settings.maxConnections, wanted > places {
            logger.warning(
                "max-connections is \(places) and not \(wanted): there are no more descriptors, or workers in the pool",
                metadata: ["max_connections": .number(places), "wanted_connections": .number(wanted)])
        }
    }

    func draining(_ counters: Counters, signal: Int32, within time: Duration) {
        let open = counters.open
        logger.notice(
            "\(name(of: signal)): no longer accepting; \(open) connections have \(time.text) to finish",
            metadata: ["signal": .string(name(of: signal)), "open": .number(open)])
    }

    func endingAtOnce(_ signal: Int32) {
        let name = name(of: signal)
        logger.notice("\(name) again: ending at once", metadata: ["signal": .string(name)])
    }

    func stopped(_ counters: Counters) { logger.notice("stopped", metadata: counters.fields) }
    func state(_ counters: Counters) { logger.notice("state:", metadata: counters.fields) }

    /// A line for each green thread.  To be called in one, for it gives way now and then: there may be many, and the hub's others
    /// shall not wait for all of them, nor shall whoever reads the log lose the most.
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

    func failed(_ error: any Error) { logger.error("this process has failed", error: error) }
    func addressIgnored() { logger.notice("host, port and unix-socket do not count: the sockets were passed in") }

    func reloaded(_ result: (changed: [String], needRestart: [String])) {
        let changed =
            result.changed.isEmpty ? "nothing has changed" : "changed: \(result.changed.joined(separator: ", "))"
        let rest =
            result.needRestart.isEmpty ? "" : "; only a restart changes \(result.needRestart.joined(separator: ", "))"
        logger.notice("reloaded: \(changed)\(rest)")
    }

    func notReloaded(_ failure: StartFailure) {
        logger.error("not reloaded, the old settings stay: \(failure.message)")
    }

    // MARK: Workers

    func died(_ pid: pid_t, _ status: ChildStatus) {
        let worker: Logger.Metadata = ["worker": .number(pid)]
        if status.raw == 0 { return logger.info("worker \(pid) has ended", metadata: worker) }
        let end: Logger.Metadata =
            if let signal = status.signal { ["killed_by": .number(signal)] } else {
                ["exit_code": .number(status.exitCode)]
            }
        logger.warning("worker \(pid) has died: \(status)", metadata: worker.merging(end) { $1 })
    }

    func stuck(_ pid: pid_t, _ silence: Duration) {
        logger.warning(
            "worker \(pid) has not responded for \(silence.text): it is killed", metadata: ["worker": .number(pid)])
    }

    func cannotFork(_ error: SystemError) {
        logger.error("can't fork a worker", error: error, metadata: ["call": "fork"])
    }

    // MARK: Connections

    /// Writes and counts what `server` tells.  Ends the process where that can't accept any more: whoever looks after it starts another,
    /// while one that serves nobody would stay.
    func follow(_ server: StreamServer, _ counters: CounterRow) {
        server.onStart = { counters.add(to: .accepted) }
        server.onEnd = { end in counters.add(to: Counter(end)) }
        server.onAcceptEvent = { event, listener in
            accept(event, listener, counters)
            if case .stopped = event { _exit(ExitStatus.system.rawValue) }
        }
    }

    private func accept(_ event: AcceptEvent, _ listener: Listener, _ counters: CounterRow) {
        let here: Logger.Metadata = ["address": "\(listener.address)"]
        switch event {
        case .paused(let error):
            counters.add(to: .acceptPaused)
            logger.warning("not accepting for now", error: error, metadata: here)
        case .resumed: logger.notice("accepting again", metadata: here)
        case .skipped(let error):
            counters.add(to: .lostBeforeAccept)
            logger.info("a connection was lost before it was accepted", error: error, metadata: here)
        case .refused(let peer, let refusal):
            counters.add(to: Counter(refusal))
            refused(peer, refusal)
        case .stopped(let error): logger.error("accepting has ended", error: error, metadata: here)
        }
    }

    private func refused(_ peer: SocketAddress, _ refusal: Refusal) {
        switch refusal {
        case .full: logger.debug("refused", metadata: ["peer": "\(peer)", "refusal": "full"])
        case .peerFull: logger.debug("refused", metadata: ["peer": "\(peer)", "refusal": "peer_full"])
        case .noContext(let error):
            logger.debug("refused", error: error, metadata: ["peer": "\(peer)", "refusal": "no_context"])
        }
    }

    /// A client that went away, or was too slow, is nothing to worry about; anything else deserves a look.
    func connectionFailed(_ error: any Error) {
        let end = ConnectionEnd(error)
        logger.log(
            level: end == .failed ? .warning : .debug, "connection ended", error: error,
            metadata: ["connection_end": .string(snakeCase("\(end)"))])
    }

    /// Writes what comes; nil unless that is wanted.  Asked once: it must cost nothing for each message where it is not.
    var payloadTracer: (@Sendable (UnsafeRawBufferPointer, SocketAddress) -> Void)? {
        guard logger.logLevel <= .trace else { return nil }
        return { bytes, peer in received(bytes, from: peer) }
    }

    /// How much of what came is shown.
    static let tracedBytes = 64

    /// The one place where something that a client has sent gets into the log: escaped, and cut.
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
    /// The connections that are open, and what is not zero.
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
