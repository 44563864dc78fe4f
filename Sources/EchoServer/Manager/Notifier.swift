import Glibc
import GreenNet

/// Notifies the service manager of the service's status, from the hub of the process that was started.
///
/// Nothing here fails: where the manager does not listen, notifications are lost.
final class Notifier {
    private let manager: ManagerChannel
    private let watchdogInterval: Duration?
    /// The gauges of hubs in other processes; nil where there are none.
    private let gauges: HubGauges?
    /// How long such a hub may be stuck.
    private let patience: Duration
    /// The status of the service, in one line.
    private let status: () -> String
    private var pace = StatusPace()
    private var isReady = false
    private var isStopping = false
    /// Another process speaks for the service.
    private var isOver = false
    /// Changes of state that the manager has not taken yet, in their order.
    private var pending: [(change: Notification, descriptors: [Int32])] = []

    private static let retryInterval = Duration.milliseconds(10)
    /// While the clients finish, the notifier asks the manager for `extension` more time once in `extensionInterval`.
    static let extensionInterval = Duration.seconds(5)
    static let `extension` = Duration.seconds(15)

    /// Nil where no manager asks for notifications.
    init?(
        _ variables: ManagerVariables, pid: pid_t = getpid(), gauges: HubGauges? = nil,
        patience: Duration = HubGauges.patience, status: @escaping () -> String
    ) {
        guard let name = variables["NOTIFY_SOCKET"], let manager = ManagerChannel(to: name) else { return nil }
        (self.manager, self.gauges, self.patience, self.status) = (manager, gauges, patience, status)
        watchdogInterval = Watchdog.interval(variables, of: pid)
    }

    // MARK: States

    /// The service accepts.  From now on the manager gets the status, and the watchdog's word that this hub, `hubs` and the hubs of other
    /// processes turn.
    func ready(_ hubs: [WorkerHub] = []) {
        notify(.ready)
        guard !isReady else { return }
        isReady = true
        spawn(.notifyStatus) { [self] in
            while true {
                try Greenlet.sleep(for: StatusPace.interval)
                send([])
            }
        }
        if let watchdogInterval { feed(Watchdog(hubs, gauges, patience: patience), every: watchdogInterval) }
    }

    /// Calls `reread`, which reads the settings again, and notifies the manager when that begins and when it is over.
    func reloading(_ reread: () -> Void) {
        notify(.reloading(since: .now))
        reread()
        notify(.ready)
    }

    /// `process` is the service from now on, and this one says no more.
    func handOver(to process: pid_t) {
        notify(.mainProcess(process))
        isOver = true
    }

    /// The manager listens to this process now, after another one has handed over to it.
    func becameMain() {
        pace = StatusPace()
        notify(.ready)
    }

    /// The manager keeps the listeners of `places` for the next start, where the unit has `FileDescriptorStoreMax=`.
    func keep(_ places: [OpenPlace]) {
        for place in places {
            guard let name = place.keptName else { continue }
            notify(
                .keep(name), passing: Array(place.sockets.joined().prefix(Connection.mostDescriptors)).map(\.descriptor)
            )
        }
    }

    /// The manager closes what it has kept of them.
    func forget(_ names: [String]) { for name in names { notify(.forget(name)) } }

    /// The service stops, which may take `time`: until then the notifier asks the manager for more time.
    func stopping(within time: Duration) {
        if isOver { return }
        isStopping = true
        notify(.stopping)
        let end = Deadline.after(time)
        spawn(.askForPatience) { [self] in
            while !end.hasPassed {
                manager.send([.extendTimeout(by: Notifier.extension)])
                try Greenlet.sleep(for: Notifier.extensionInterval)
            }
        }
    }

    // MARK: Sending

    /// A change of state must get through, even if the manager is slow: a green thread waits for that, and the caller does not.
    private func notify(_ change: Notification, passing descriptors: [Int32] = []) {
        if isOver { return }
        pending.append((change, descriptors))
        // Where there were others, a green thread is sending them.
        guard pending.count == 1 else { return }
        sendPending()
        guard !pending.isEmpty else { return }
        spawn(.notifyChange) { [self] in
            while !pending.isEmpty {
                try Greenlet.sleep(for: Notifier.retryInterval)
                sendPending()
            }
        }
    }

    private func sendPending() {
        while let (change, descriptors) = pending.first, send([change], passing: descriptors) != .busy {
            pending.removeFirst()
        }
    }

    /// Sends `notifications`, with the status where that is due.
    @discardableResult
    private func send(_ notifications: [Notification], passing descriptors: [Int32] = []) -> ManagerChannel.Outcome {
        let (status, now) = ((isStopping ? "stopping, " : "") + status(), Deadline.now)
        let isDue = !isOver && pace.isDue(status, at: now)
        let all = notifications + (isDue ? [.status(status)] : [])
        if all.isEmpty { return .taken }
        let outcome = manager.send(all, passing: descriptors)
        if isDue, outcome == .taken { pace.sent(status, at: now) }
        return outcome
    }

    /// On a green thread: a hub that is stuck feeds no watchdog.
    private func feed(_ watchdog: Watchdog, every interval: Duration) {
        spawn(.feedWatchdog) { [self] in
            while true {
                if !isOver, watchdog.allTurn() { manager.send([.watchdog]) }
                try Greenlet.sleep(for: interval)
            }
        }
    }
}
