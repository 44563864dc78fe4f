import Glibc
import GreenNet

/// What `/metrics` tells: of the whole service, whatever hubs and processes it has.
struct Metrics {
    let settings: Settings
    let shared: SharedState
    let serviceState: ServiceState
    let log: ServerLog
    private let start = time(nil)
    /// As they were when the page was asked for.
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
        page.addTraffic(to: &text)
        page.addHubs(to: &text)
        return text.text
    }

    private func addService(to text: inout PrometheusText) {
        text.add(
            .gauge, "echo_server_build_info", "What runs; the value is always 1.",
            [
                (
                    [
                        "version": Version.number, "libev": GreenNetInfo.libevVersion, "model": "\(settings.model)",
                        "transform": "\(serviceState.settings.transform)",
                    ], "1"
                )
            ])
        text.add(.gauge, "echo_server_start_time_seconds", "When it was started, in seconds since 1970.", start)
        let isReady = serviceState.stage == .accepting && shared.gauges?.stuckHubs().isEmpty ?? true
        text.add(.gauge, "echo_server_ready", "1 while it accepts connections and all hubs turn.", isReady ? 1 : 0)
        text.add(
            .counter, "echo_server_workers_restarted_total", "Processes that took the place of one that had died.",
            total(.workersRestarted))
        text.add(
            .counter, "echo_server_log_lines_dropped_total",
            "Lines of the log that the process started first couldn't get rid of.",
            log.droppedLines)
    }

    private func addConnections(to text: inout PrometheusText) {
        var states: [PrometheusText.Sample] = [(["state": "open"], "\(totals.open)")]
        // Unix sockets don't tell.
        if let queued = serviceState.queuedConnections { states.append((["state": "queued"], "\(queued)")) }
        text.add(
            .gauge, "echo_server_connections",
            "Connections that are served, and those the kernel holds until they are.",
            states)
        text.add(
            .gauge, "echo_server_connections_limit", "Connections that may be served at once.", shared.admission.places)
        text.add(.counter, "echo_server_accepted_total", "Connections that were served.", total(.accepted))
        text.add(
            .counter, "echo_server_ended_total", "Connections that have ended, by how.",
            ConnectionEnd.allCases.map { (["end": snakeCase("\($0)")], "\(total(Counter($0)))") })
        text.add(
            .counter, "echo_server_refused_total",
            "Connections that were closed as soon as they were accepted, by why.",
            [
                (["reason": "full"], "\(total(.refusedFull))"), (["reason": "peer_full"], "\(total(.refusedPeerFull))"),
                (["reason": "no_context"], "\(total(.refusedNoContext))"),
            ])
        text.add(
            .counter, "echo_server_accept_errors_total", "Failed attempts to accept, by kind.",
            [(["kind": "lost"], "\(total(.lostBeforeAccept))"), (["kind": "paused"], "\(total(.acceptPaused))")])
    }

    private func addTraffic(to text: inout PrometheusText) {
        text.add(.counter, "echo_server_messages_total", "Pieces in which bytes came.", total(.messages))
        text.add(.counter, "echo_server_received_bytes_total", "Bytes that came.", total(.bytesIn))
        text.add(.counter, "echo_server_sent_bytes_total", "Bytes that were sent back.", total(.bytesOut))
    }

    private func addHubs(to text: inout PrometheusText) {
        addGauge(.lag, "echo_server_hub_lag_seconds", "By how much a green thread was woken too late.", to: &text)
        addGauge(.peakLag, "echo_server_hub_lag_peak_seconds", "The most of that in the last 10 to 20 s.", to: &text)
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
