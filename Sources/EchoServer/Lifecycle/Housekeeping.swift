import GreenNet

/// What a green thread of the server does for no client, by the name that it has in dumps.
///
/// Without memory a `spawn` fails, and nobody would accept, or hear a signal.  So each hub begins with a stack in store for each of these,
/// which is why all such green threads are spawned by one of them; those that accept are counted by their listeners.
enum Housekeeping: String, CaseIterable {
    // By `Service`, and on the further hubs of a process by `HubThread`.
    case tellState = "state on USR1"
    case reload = "reload on HUP"
    case endAtOnce = "end on a second signal"
    case drain = "drain"
    case logDump = "log green threads"
    case listThreads = "list green threads"
    // By `HubGauges`.
    case measure = "measure"
    // By `AdminSeat`, once for each.
    case admin = "admin"
    // By the process model.
    case reap = "reap"
    // By `Notifier`, and by `Watchdog` on further hubs.
    case tellStatus = "status"
    case askForPatience = "ask for patience"
    case tellManager = "tell the service manager"
    case feedWatchdog = "watchdog"
    case answerWatchdog = "answer the watchdog"

    /// How many stacks a hub needs for itself that accepts on `listeners` listeners and serves the admin interface from `adminSeats` seats.
    /// Not all at once, and clients may have some of them meanwhile: what begins later, after many have come, may yet have to do without.
    static func stacks(listeners: Int, adminSeats: Int = 0) -> Int { allCases.count - 1 + listeners + adminSeats }
}

/// As GreenNet's, with a name for which there is a stack in store.
@discardableResult
func spawn(
    _ duty: Housekeeping, fileID: StaticString = #fileID, line: UInt = #line, _ body: @escaping () throws -> Void
) -> Greenlet<Void> {
    spawn(name: duty.rawValue, fileID: fileID, line: line, body)
}
