import GreenNet

/// What green threads of the server do besides serving clients, by the names that they have in dumps.
///
/// Without memory a `spawn` fails, and the server would not accept, or not hear a signal.  So each hub begins with a stack in store for each of
/// these, which is why all such green threads are spawned by one of them; those that accept are counted by their listeners.
enum Housekeeping: String, CaseIterable {
    // By `Service`, and on the further hubs of a process by `WorkerHub`.
    case logState = "state on USR1"
    case reload = "reload on HUP"
    case changeListeners = "change listeners"
    case upgradeRequests = "upgrade on USR2"
    case upgrade
    case endAtOnce = "end on a second signal"
    case drain = "drain"
    case logDump = "log green threads"
    case listThreads = "list green threads"
    // By `HubGauges`.
    case measure = "measure"
    // By `ServerProcess`.
    case takeOver = "take over"
    // By `RecordWriter`.
    case writeRecords = "write records"
    // By `DatagramServer`, once for each socket.
    case datagrams
    // By `AdminSeat`, once for each.
    case admin = "admin"
    // By the process model.
    case reap = "reap"
    case restartForkServer = "restart the fork server"
    // By `Notifier`, and by `Watchdog` on further hubs.
    case notifyStatus = "status"
    case askForPatience = "ask for patience"
    case notifyChange = "notify the service manager"
    case feedWatchdog = "watchdog"
    case answerWatchdog = "answer the watchdog"

    /// How many stacks a hub needs for itself that accepts on `listeners` listeners and serves the admin interface from `adminSeats` seats.
    ///
    /// They are not all needed at once, and clients may have some of them meanwhile: a task that begins after many clients have come may yet
    /// find no stack.
    static func stacks(listeners: Int, adminSeats: Int = 0) -> Int { allCases.count - 1 + listeners + adminSeats }
}

/// As GreenNet's `spawn`, with a name for which there is a stack in store.
@discardableResult
func spawn(
    _ task: Housekeeping, fileID: StaticString = #fileID, line: UInt = #line, _ body: @escaping () throws -> Void
) -> Greenlet<Void> {
    spawn(name: task.rawValue, fileID: fileID, line: line, body)
}
