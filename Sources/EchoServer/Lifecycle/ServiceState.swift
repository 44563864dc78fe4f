import Glibc
import GreenNet

/// Speaks for the whole service, to the log and to the service manager: one for all its hubs and processes, in the process that was started.
final class ServiceState {
    private let live: LiveSettings
    private let shared: SharedState
    private let log: ServerLog
    /// Nil where no service manager wants to be told.
    private let notifier: Notifier?
    private(set) var stage = Stage.starting
    /// What it accepts on, for all hubs, while it does.
    private var sockets: [ListeningSocket] = []
    /// Those of this process, without the one it runs on.
    private var hubs: [HubThread] = []
    /// What is to be done before the process exits: it leaves no path behind.
    var tidyUp: () -> Void = {}

    enum Stage {
        case starting, accepting, stopping
    }

    init(_ live: LiveSettings, _ shared: SharedState, _ log: ServerLog, _ variables: ManagerVariables) {
        (self.live, self.shared, self.log) = (live, shared, log)
        notifier = Notifier(variables, gauges: shared.gauges, patience: Watchdog.patience(live.now)) {
            shared.status(live.now.model)
        }
    }

    /// The settings as they are now.
    var settings: Settings { live.now }

    /// Connections are accepted on the `sockets` of each hub, by this process' hub, by `hubs` or by other processes.
    func serving(on sockets: [[ListeningSocket]], _ hubs: [HubThread] = []) {
        // Copies of one that was passed in have one queue.
        self.sockets = sockets[0][0].isInherited ? sockets[0] : Array(sockets.joined())
        (self.hubs, stage) = (hubs, .accepting)
        log.listening(on: sockets[0].map(\.address), live.now, shared)
        notifier?.ready(hubs)
    }

    /// What HUP asks for; whatever comes of it, the service goes on.
    func reload() {
        // The manager knows of no way back, and nobody would use what was reread.
        guard stage != .stopping else { return }
        if let notifier { notifier.reloading(reread) } else { reread() }
    }

    private func reread() {
        do throws(StartFailure) {
            log.reloaded(try live.reload())
            shared.admission.places = shared.possiblePlaces(live.now)
        } catch {
            log.notReloaded(error)
        }
    }

    func draining(after signal: Int32) {
        stage = .stopping
        // They are closed from now on, and their numbers may be others'.
        sockets = []
        notifier?.stopping(within: live.now.drainTimeout)
        log.draining(shared.counters, signal: signal, within: live.now.drainTimeout)
    }

    /// After a second signal.  `cancel` ends what serves the clients.
    func endAtOnce(_ signal: Int32, cancel: () -> Void) -> Never {
        log.endingAtOnce(signal)
        cancel()
        tidyUp()
        exit(128 + signal)
    }

    /// How many connections the kernel holds until they are accepted; nil where it doesn't say.
    var queuedConnections: Int? {
        let counts = sockets.compactMap(\.queuedConnections)
        return counts.isEmpty ? nil : counts.reduce(0, +)
    }

    /// The green threads of this process, hub by hub.
    func greenThreads() -> String {
        let deadline = Deadline.after(.seconds(2))
        let others = hubs.enumerated().map { index, hub in
            "hub \(index + 1)\n\(hub.greenThreads(until: deadline) ?? "  does not answer")\n"
        }
        let elsewhere = settings.processes == nil ? "" : "those of the other processes go to the log on USR1\n"
        return "hub 0\n\(Hub.current)\n" + others.joined() + elsewhere
    }

    func state() { log.state(shared.counters) }
}

extension SharedState {
    /// As in `12 connections, 345 accepted, limit 10000, model green`.
    fileprivate func status(_ model: Model) -> String {
        let totals = counters.totals
        let open = totals.open
        let connections = open == 1 ? "1 connection" : "\(open) connections"
        return "\(connections), \(totals[.accepted]) accepted, limit \(admission.places), model \(model)"
    }
}
