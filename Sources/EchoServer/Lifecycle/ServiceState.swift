import Glibc
import GreenNet

/// How the whole service is: starting, accepting, accepting though it is to stop, or stopping.  Reports that to the log, the service manager and the admin interface.
///
/// One for all hubs and processes, in the process that was started.
final class ServiceState {
    private let live: LiveSettings
    private let shared: SharedState
    private let log: ServerLog
    /// Nil where no service manager asks for notifications.
    private let notifier: Notifier?
    private(set) var stage = Stage.starting
    private let listeners: Listeners
    /// The further hubs of this process.
    private var workerHubs: [WorkerHub] = []
    /// Called before the process exits: removes the paths of its sockets.
    var tidyUp: () -> Void = {}
    /// Has those that accept follow a change of the listeners, and closes the sockets of places that are removed.
    var onListenerChange: (ListenerChange) -> Void = { _ in }
    /// Opens what datagrams are to be served at.  Throws where that can't be had, and changes nothing then.
    var prepareDatagrams: (Settings, [OpenPlace]) throws(StartFailure) -> DatagramChange? = {
        _, _ throws(StartFailure) in nil
    }
    /// Ends the offer of the listeners at a path.
    var closeOffer: () -> Void = {}
    /// Starts the instance that is to follow this one.
    var startUpgrade: () -> Void = {}
    /// Whether another instance has the listeners.
    private(set) var isHandedOver = false
    /// Called when the service accepts.
    var whenServing: () -> Void = {}
    /// Called when a first signal has come: ends what is served beside connections.
    var whenDraining: () -> Void = {}

    enum Stage {
        /// A lame duck accepts, and tells load balancers that it is not ready: it will stop.
        case starting, accepting, lameDuck, stopping
    }

    init(_ parts: ServiceParts, _ listeners: Listeners, _ variables: ManagerVariables) {
        (live, shared, log) = (parts.live, parts.shared, parts.log)
        self.listeners = listeners
        notifier = Notifier(variables, gauges: shared.gauges, patience: Watchdog.patience(live.now)) {
            [live, shared] in shared.status(live.now.model)
        }
    }

    /// The settings as they are now.
    var settings: Settings { live.now }
    /// Nil where the service speaks no TLS.
    var tls: ServerTLS? { live.tls }

    /// The service accepts: by the hub of this process, by `workerHubs`, or by other processes.
    func serving(_ workerHubs: [WorkerHub] = []) {
        (self.workerHubs, stage) = (workerHubs, .accepting)
        log.listening(on: listeners.sets[0].map(\.address), live.now, shared)
        if let certificate = live.tls?.certificate { log.servesTLS(certificate) }
        if let faults = live.faults { log.injectsFaults(faults.seed) }
        notifier?.ready(workerHubs)
        keepListeners()
        whenServing()
    }

    /// Reads the settings again, as HUP asks for.  Where they are wrong, the service goes on with the old ones.
    func reload() {
        // A manager accepts no READY=1 after STOPPING=1, and no further client would get the new settings.
        guard stage == .starting || stage == .accepting, !isHandedOver else { return }
        if let notifier { notifier.reloading(reread) } else { reread() }
    }

    private func reread() {
        do throws(StartFailure) {
            let result = try live.reload(openListeners: prepareListeners)
            shared.admission.places = shared.possiblePlaces(live.now)
            if let change = result.listeners { follow(change) }
            log.reloaded(result)
        } catch {
            log.notReloaded(error)
        }
    }

    private func prepareListeners(_ settings: Settings) throws(StartFailure) -> ListenerChange? {
        guard stage == .accepting, var change = try listeners.change(to: settings) else { return nil }
        do throws(StartFailure) {
            change.datagrams = try prepareDatagrams(settings, change.places)
            return change
        } catch {
            change.abandon()
            throw error
        }
    }

    private func follow(_ change: ListenerChange) {
        listeners.commit(change)
        change.datagrams?.commit()
        notifier?.keep(change.added)
        notifier?.forget(change.removed.compactMap(\.keptName))
        onListenerChange(change)
        log.listenersChanged(change, live.now)
    }

    /// Has another instance follow this one, as USR2 asks for.
    func upgrade() { if stage == .accepting, !isHandedOver { startUpgrade() } }

    /// Why no other instance can have the listeners now; nil where one can.
    var refusesHandOver: String? {
        if isHandedOver { return "another instance has them" }
        return stage == .accepting ? nil : "this instance is stopping"
    }

    /// Has the service manager forget listeners of an earlier start.
    func forget(_ names: [String]) { notifier?.forget(names) }

    /// Another instance has the listeners, and the paths with them; `process` is its own where this instance has started it.
    func handedOver(to process: pid_t?) {
        log.takenOver()
        isHandedOver = true
        tidyUp = {}
        if let process { notifier?.handOver(to: process) }
    }

    /// This instance has the listeners of the one that has started it.
    func tookOver() {
        notifier?.becameMain()
        keepListeners()
    }

    /// Has the service manager keep them for the next start.
    private func keepListeners() { notifier?.keep(listeners.places) }

    /// A first signal has come.  Returns until when the service accepts all the same; nil where it drains at once.
    func lameDuck(after signal: Int32) -> Deadline? {
        let (time, drainTime) = (live.now.lameDuck, live.now.drainTimeout)
        // Clients come to the other instance.
        if time == .zero || isHandedOver { return nil }
        stage = .lameDuck
        notifier?.stopping(within: time + StopSequence.longest(drainTimeout: drainTime))
        log.lameDuck(shared.counters, signal: signal, for: time)
        return .after(time)
    }

    /// After a first signal, and the time as a lame duck: the service drains from now on.
    func draining(after signal: Int32) {
        let wasTold = stage == .lameDuck
        stage = .stopping
        whenDraining()
        let time = live.now.drainTimeout
        if !wasTold { notifier?.stopping(within: StopSequence.longest(drainTimeout: time)) }
        log.draining(shared.counters, signal: signal, within: time)
    }

    /// Ends the process after a second signal.  `cancel` ends what serves the clients.
    func endAtOnce(_ signal: Int32, cancel: () -> Void) -> Never {
        log.endingAtOnce(signal)
        cancel()
        live.records?.stopGathering()
        tidyUp()
        exit(128 + signal)
    }

    /// How many connections the kernel holds until the server accepts them; nil where the kernel doesn't say.
    var queuedConnections: Int? {
        // Once the service stops they are closed, and other files may get their numbers.
        let isAccepting = stage == .accepting || stage == .lameDuck
        let counts = isAccepting ? listeners.queues.compactMap(\.queuedConnections) : []
        return counts.isEmpty ? nil : counts.reduce(0, +)
    }

    /// The green threads of this process, hub by hub, as text.
    func greenThreads() -> String {
        let deadline = Deadline.after(.seconds(2))
        let others = workerHubs.enumerated().map { index, hub in
            "hub \(index + 1)\n\(hub.greenThreads(until: deadline) ?? "  does not answer")\n"
        }
        let elsewhere = shared.arrangement.forksHubs ? "those of the other processes go to the log on USR1\n" : ""
        return "hub 0\n\(Hub.current)\n" + others.joined() + elsewhere
    }

    /// Logs the counters, as USR1 asks for.
    func state() { log.state(shared.counters) }
}

extension SharedState {
    /// As in `12 connections, 345 accepted, limit 10000, model green`.
    fileprivate func status(_ model: ModelKind) -> String {
        let totals = counters.totals
        let open = totals.open
        let connections = open == 1 ? "1 connection" : "\(open) connections"
        return "\(connections), \(totals[.accepted]) accepted, limit \(admission.places), model \(model)"
    }
}
