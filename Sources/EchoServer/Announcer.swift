import GreenNet

/// Speaks for the whole service, to the log and to the service manager: one for all its hubs and processes, in the process that was started.
final class Announcer {
    private let live: LiveSettings
    private let shared: SharedState
    private let log: ServerLog
    /// Nil where no service manager wants to be told.
    private let notifier: Notifier?
    private var isStopping = false

    init(_ live: LiveSettings, _ shared: SharedState, _ log: ServerLog, _ variables: ManagerVariables) {
        (self.live, self.shared, self.log) = (live, shared, log)
        notifier = Notifier(variables) { shared.status(live.now.model) }
    }

    /// Connections are accepted on `sockets`, by this process' hub, by `hubs` or by other processes.
    func serving(on sockets: [ListeningSocket], _ hubs: [HubThread] = []) {
        log.listening(on: sockets.map(\.address), live.now, shared)
        notifier?.ready(hubs)
    }

    /// What HUP asks for; whatever comes of it, the service goes on.
    func reload() {
        // The manager knows of no way back, and nobody would use what was reread.
        guard !isStopping else { return }
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
        isStopping = true
        notifier?.stopping(within: live.now.drainTimeout)
        log.draining(shared.counters, signal: signal, within: live.now.drainTimeout)
    }

    func state() { log.state(shared.counters) }
}

extension SharedState {
    /// As in `12 connections, 345 accepted, limit 10000, model green`.
    fileprivate func status(_ model: Model) -> String {
        let open = counters.open
        let connections = open == 1 ? "1 connection" : "\(open) connections"
        return "\(connections), \(counters.total(.accepted)) accepted, limit \(admission.places), model \(model)"
    }
}
