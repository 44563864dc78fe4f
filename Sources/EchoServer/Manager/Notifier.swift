import Glibc
import GreenNet

/// Tells the service manager how the service stands, from the hub of the process that was started.
///
/// Whether anybody listens is the manager's business: nothing here fails.
final class Notifier {
    private let manager: ManagerChannel
    private let watchdogInterval: Duration?
    /// Of the hubs of other processes; nil where there are none.
    private let gauges: HubGauges?
    /// How long they may be stuck.
    private let patience: Duration
    /// How the service stands, in one line.
    private let status: () -> String
    private var pace = StatusPace()
    private var isReady = false
    private var isStopping = false
    /// Changes of state that the manager has not taken yet, in their order.
    private var untold: [Notification] = []

    private static let retryInterval = Duration.milliseconds(10)
    /// The manager's patience is stretched so often, and by so much, while the clients finish.
    static let extensionInterval = Duration.seconds(5)
    static let `extension` = Duration.seconds(15)

    /// Nil where no manager wants to be told: then nothing of this exists, and nothing is done.
    init?(
        _ variables: ManagerVariables, pid: pid_t = getpid(), gauges: HubGauges? = nil,
        patience: Duration = HubGauges.patience, status: @escaping () -> String
    ) {
        guard let name = variables["NOTIFY_SOCKET"], let manager = ManagerChannel(to: name) else { return nil }
        (self.manager, self.gauges, self.patience, self.status) = (manager, gauges, patience, status)
        watchdogInterval = Watchdog.interval(variables, of: pid)
    }

    // MARK: States

    /// Connections are accepted.  From now on it tells the status, and that this hub, `hubs` and those of other processes turn.
    func ready(_ hubs: [HubThread] = []) {
        tell(.ready)
        guard !isReady else { return }
        isReady = true
        spawn(.tellStatus) { [self] in
            while true {
                try Greenlet.sleep(for: StatusPace.interval)
                send([])
            }
        }
        if let watchdogInterval { feed(Watchdog(hubs, gauges, patience: patience), every: watchdogInterval) }
    }

    /// Around whatever is done to reread what can be reread, well or badly.
    func reloading(_ reread: () -> Void) {
        tell(.reloading(since: .now))
        reread()
        tell(.ready)
    }

    /// It ends, which may take `time`: so long it asks for patience.
    func stopping(within time: Duration) {
        isStopping = true
        tell(.stopping)
        let end = Deadline.after(time + StreamServer.grace * 3)
        spawn(.askForPatience) { [self] in
            while !end.hasPassed {
                manager.send([.extendTimeout(by: Notifier.extension)])
                try Greenlet.sleep(for: Notifier.extensionInterval)
            }
        }
    }

    // MARK: Telling

    /// A change of state must get through, even if the manager is slow.  Nobody but a green thread waits for that.
    private func tell(_ change: Notification) {
        untold.append(change)
        // Those before it are being told.
        guard untold.count == 1 else { return }
        tellUntold()
        guard !untold.isEmpty else { return }
        spawn(.tellManager) { [self] in
            while !untold.isEmpty {
                try Greenlet.sleep(for: Notifier.retryInterval)
                tellUntold()
            }
        }
    }

    private func tellUntold() {
        while let change = untold.first, send([change]) != .busy { untold.removeFirst() }
    }

    /// With the status, where that is due.
    @discardableResult
    private func send(_ notifications: [Notification]) -> ManagerChannel.Outcome {
        let (status, now) = ((isStopping ? "stopping, " : "") + status(), Deadline.now)
        let isDue = pace.isDue(status, at: now)
        let all = notifications + (isDue ? [.status(status)] : [])
        if all.isEmpty { return .taken }
        let outcome = manager.send(all)
        if isDue, outcome == .taken { pace.told(status, at: now) }
        return outcome
    }

    /// On a green thread: a hub that is stuck says nothing.
    private func feed(_ watchdog: Watchdog, every interval: Duration) {
        spawn(.feedWatchdog) { [self] in
            while true {
                if watchdog.allTurn() { manager.send([.watchdog]) }
                try Greenlet.sleep(for: interval)
            }
        }
    }
}
