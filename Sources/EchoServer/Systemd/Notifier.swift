import Glibc
import GreenNet

/// Tells the service manager how the service stands, from the hub of the process that was started.
///
/// Whether anybody listens is the manager's business: nothing here fails.
final class Notifier {
    private let manager: ManagerChannel
    private let watchdogInterval: Duration?
    /// How the service stands, in one line.
    private let status: () -> String
    private var pace = StatusPace()
    private var isReady = false
    private var isStopping = false

    /// The manager's patience is stretched so often, and by so much, while the clients finish.
    static let extensionInterval = Duration.seconds(5)
    static let `extension` = Duration.seconds(15)

    /// Nil where no manager wants to be told: then nothing of this exists, and nothing is done.
    init?(_ variables: ManagerVariables, pid: pid_t = getpid(), status: @escaping () -> String) {
        guard let name = variables["NOTIFY_SOCKET"], let manager = ManagerChannel(to: name) else { return nil }
        (self.manager, self.status) = (manager, status)
        watchdogInterval = Watchdog.interval(variables, of: pid)
    }

    // MARK: States

    /// Connections are accepted.  From now on it tells the status, and that this hub and `hubs` turn.
    func ready(_ hubs: [HubThread] = []) {
        tell(.ready)
        guard !isReady else { return }
        isReady = true
        spawn(name: "status") { [self] in
            while true {
                try Greenlet.sleep(for: StatusPace.interval)
                tellStatus()
            }
        }
        if let watchdogInterval { feed(Watchdog(hubs), every: watchdogInterval) }
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
        spawn(name: "ask for patience") { [self] in
            while !end.hasPassed {
                manager.send([.extendTimeout(by: Notifier.extension)], waits: false)
                try Greenlet.sleep(for: Notifier.extensionInterval)
            }
        }
    }

    // MARK: Telling

    /// A change of state must get through, even if the manager is slow.
    private func tell(_ change: Notification) { send([change], waits: true) }

    private func tellStatus() { send([], waits: false) }

    /// Adds the status where it is due.
    private func send(_ notifications: [Notification], waits: Bool) {
        let (status, now) = ((isStopping ? "stopping, " : "") + status(), Deadline.now)
        let isDue = pace.isDue(status, at: now)
        let all = notifications + (isDue ? [.status(status)] : [])
        guard !all.isEmpty, manager.send(all, waits: waits), isDue else { return }
        pace.told(status, at: now)
    }

    /// On a green thread: a hub that is stuck says nothing.
    private func feed(_ watchdog: Watchdog, every interval: Duration) {
        spawn(name: "watchdog") { [self] in
            while true {
                if watchdog.allTurn() { manager.send([.watchdog], waits: false) }
                try Greenlet.sleep(for: interval)
            }
        }
    }
}
