import Glibc
import GreenNet
import ProgramKit

/// The metrics of the whole service, with all its hubs and processes.
struct Metrics {
    let settings: Settings
    let shared: SharedState
    let serviceState: ServiceState
    let log: ServerLog
    private let start = time(nil)
    /// The counters at the time of the request.
    private var totals: Counters.Totals

    init(_ settings: Settings, _ shared: SharedState, _ serviceState: ServiceState, _ log: ServerLog) {
        (self.settings, self.shared, self.serviceState, self.log) = (settings, shared, serviceState, log)
        totals = shared.counters.totals
    }

    var text: String {
        var page = self
        page.totals = shared.counters.totals
        var text = PrometheusText()
        page.addService(to: &text)
        page.addConnections(to: &text)
        page.addTLS(to: &text)
        page.addProxies(to: &text)
        page.addFaults(to: &text)
        page.addDatagrams(to: &text)
        page.addTraffic(to: &text)
        page.addRecords(to: &text)
        page.addHubs(to: &text)
        return text.text
    }

    private func addService(to text: inout PrometheusText) {
        text.add(
            .gauge, "echo_server_build_info",
            "Version, model and transform of the running server; the value is always 1.",
            [
                (
                    [
                        "version": Version.number, "libev": GreenNetInfo.libevVersion, "model": "\(settings.model)",
                        "transform": "\(serviceState.settings.transform)",
                    ], "1"
                )
            ])
        text.add(.gauge, "echo_server_start_time_seconds", "Start time of the server, in seconds since 1970.", start)
        let isReady = serviceState.stage == .accepting && shared.gauges?.stuckHubs().isEmpty ?? true
        text.add(
            .gauge, "echo_server_ready", "1 while the server accepts connections and no hub is stuck, else 0.",
            isReady ? 1 : 0)
        text.add(
            .counter, "echo_server_workers_restarted_total", "Worker processes started in place of one that died.",
            total(.workersRestarted))
        if let pool = settings.pool {
            text.add(
                .gauge, "echo_server_pool_size", "OS threads or processes in the pool.",
                pool.least + totals[.poolExtra])
        }
        text.add(
            .counter, "echo_server_log_lines_dropped_total",
            "Log lines that the first process could not write.",
            log.droppedLines)
    }

    private func addConnections(to text: inout PrometheusText) {
        var states: [PrometheusText.Sample] = [(["state": "open"], "\(totals.open)")]
        // The kernel does not report the queue of a unix socket.
        if let queued = serviceState.queuedConnections { states.append((["state": "queued"], "\(queued)")) }
        text.add(
            .gauge, "echo_server_connections",
            "Connections being served (open) and connections in the kernel's queue (queued).",
            states)
        text.add(
            .gauge, "echo_server_connections_limit", "Largest number of connections served at once.",
            shared.admission.places)
        text.add(.counter, "echo_server_accepted_total", "Connections accepted and served.", total(.accepted))
        text.add(
            .counter, "echo_server_ended_total", "Connections ended, by how they ended.",
            ConnectionEnd.allCases.map { (["end": snakeCase("\($0)")], "\(total(Counter($0)))") })
        text.add(
            .counter, "echo_server_refused_total",
            "Connections closed right after they were accepted, by reason.",
            [
                (["reason": "full"], "\(total(.refusedFull))"), (["reason": "peer_full"], "\(total(.refusedPeerFull))"),
                (["reason": "no_context"], "\(total(.refusedNoContext))"),
                (["reason": "denied"], "\(total(.refusedDenied))"),
                (["reason": "too_fast"], "\(total(.refusedTooFast))"),
            ])
        text.add(
            .counter, "echo_server_accept_errors_total", "Failed attempts to accept a connection, by kind.",
            [(["kind": "lost"], "\(total(.lostBeforeAccept))"), (["kind": "paused"], "\(total(.acceptPaused))")])
    }

    private func addTLS(to text: inout PrometheusText) {
        guard let tls = serviceState.tls else { return }
        text.add(
            .counter, "echo_server_tls_handshakes_total", "TLS handshakes, by how they ended.",
            [
                (["result": "done"], "\(total(.tlsHandshakes))"), (["result": "failed"], "\(total(.tlsFailures))"),
            ])
        text.add(
            .gauge, "echo_server_tls_certificate_expiry_seconds",
            "Time until which the server's certificate is valid, in seconds since 1970.",
            tls.certificate?.validity.upperBound ?? 0)
    }

    private func addProxies(to text: inout PrometheusText) {
        if settings.proxy.mode == .off { return }
        text.add(
            .counter, "echo_server_proxy_headers_total", "Headers of the PROXY protocol that were taken.",
            total(.proxyHeaders))
        text.add(
            .counter, "echo_server_proxy_refused_total",
            "Connections closed for a header of the PROXY protocol, or for the lack of one, by reason.",
            ProxyHeaderError.Reason.allCases.map {
                (["reason": snakeCase($0.rawValue)], "\(total(Counter($0)))")
            })
    }

    private func addFaults(to text: inout PrometheusText) {
        if settings.faults.areNone { return }
        text.add(
            .counter, "echo_server_faults_total", "Connections to which a fault was done on purpose, by fault.",
            [
                (["fault": "refuse"], "\(total(.faultsRefused))"), (["fault": "reset"], "\(total(.faultsReset))"),
                (["fault": "close"], "\(total(.faultsClosed))"),
                (["fault": "truncate"], "\(total(.faultsTruncated))"),
                (["fault": "stall"], "\(total(.faultsStalled))"),
            ])
    }

    private func addDatagrams(to text: inout PrometheusText) {
        guard settings.services.servesDatagrams || !settings.datagramEntries.isEmpty else { return }
        text.add(.counter, "echo_server_datagrams_received_total", "Datagrams received.", total(.datagramsReceived))
        text.add(
            .counter, "echo_server_datagrams_answered_total", "Datagrams sent as answers.", total(.datagramsAnswered))
        text.add(
            .counter, "echo_server_datagrams_dropped_total", "Datagrams without an answer, by reason.",
            [
                (["reason": "port"], "\(total(.datagramsRefused))"),
                (["reason": "denied"], "\(total(.datagramsDenied))"),
                (["reason": "rate"], "\(total(.datagramsLimited))"),
                (["reason": "send"], "\(total(.datagramsFailed))"),
            ])
    }

    private func addTraffic(to text: inout PrometheusText) {
        text.add(.counter, "echo_server_reads_total", "Reads that returned data.", total(.reads))
        text.add(
            .counter, "echo_server_messages_total",
            "Deprecated name of echo_server_reads_total; the next release will not have it.", total(.reads))
        text.add(.counter, "echo_server_received_bytes_total", "Bytes received from clients.", total(.bytesIn))
        text.add(.counter, "echo_server_sent_bytes_total", "Bytes sent to clients.", total(.bytesOut))
    }

    private func addRecords(to text: inout PrometheusText) {
        if settings.record == nil { return }
        text.add(
            .counter, "echo_server_records_total", "Records of connections, by what became of them.",
            [
                (["result": "written"], "\(total(.recordsWritten))"),
                (["result": "dropped"], "\(total(.recordsDropped))"),
            ])
    }

    private func addHubs(to text: inout PrometheusText) {
        addGauge(.lag, "echo_server_hub_lag_seconds", "How late the hub's last timed wake-up was.", to: &text)
        addGauge(
            .peakLag, "echo_server_hub_lag_peak_seconds", "The latest of these wake-ups in the last 10 to 20 seconds.",
            to: &text)
        addGauge(.greenThreads, "echo_server_green_threads", "Green threads that have not ended.", to: &text)
        addGauge(.cachedStacks, "echo_server_stacks_cached", "Stacks kept for further green threads.", to: &text)
    }

    private func addGauge(_ gauge: HubGauges.Gauge, _ name: String, _ help: String, to text: inout PrometheusText) {
        guard let gauges = shared.gauges else { return }
        let isTime = gauge == .lag || gauge == .peakLag
        text.add(
            .gauge, name, help,
            (0..<gauges.hubs).map { hub in
                let value = gauges.value(of: gauge, hub: hub)
                return (["hub": "\(hub)"], isTime ? "\(Double(value) / 1e9)" : "\(value)")
            })
    }

    private func total(_ counter: Counter) -> Int { totals[counter] }
}
