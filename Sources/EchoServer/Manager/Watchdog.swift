import Glibc
import GreenNet
import Synchronization

/// Checks whether all hubs of the service turn.
///
/// The hub that checks does.  Each other hub of the process is asked, and has until the next check to answer; hubs of other processes have
/// gauges.
struct Watchdog {
    private let hubs: [(hub: WorkerHub, answer: Answer)]

    /// Given by another hub.
    private final class Answer: Sendable {
        let isGiven = Atomic(true)
    }

    private let gauges: HubGauges?
    private let patience: Duration

    /// A hub with a gauge is stuck where it has not been measured for longer than `patience`.
    init(_ hubs: [WorkerHub], _ gauges: HubGauges? = nil, patience: Duration = HubGauges.patience) {
        self.hubs = hubs.map { ($0, Answer()) }
        (self.gauges, self.patience) = (gauges, patience)
    }

    /// How long a hub may be stuck with these settings before the service manager restarts the service.  Where the supervisor replaces a stuck worker,
    /// the manager waits longer, for the case that this does not help.
    static func patience(_ settings: Settings) -> Duration {
        guard settings.arrangement.forksHubs, let timeout = settings.workerTimeout else { return HubGauges.patience }
        return timeout + HubGauges.patience
    }

    /// The interval at which process `pid` notifies the manager's watchdog: half of the watchdog's time.  Nil where the manager has no watchdog for it.
    static func interval(_ variables: ManagerVariables, of pid: pid_t) -> Duration? {
        let isForUs = variables["WATCHDOG_PID"] == nil || (try? variables.names(pid, in: "WATCHDOG_PID")) == true
        guard isForUs, let time = variables["WATCHDOG_USEC"].flatMap({ Int64($0) }), time > 0 else { return nil }
        return .microseconds(time) / 2
    }

    /// Returns whether all hubs have answered since the last check; if so, asks them again.
    func allTurn() -> Bool {
        // A hub that has ended is not stuck.
        guard hubs.allSatisfy({ $0.answer.isGiven.load(ordering: .relaxed) || $0.hub.ended.isSet }) else {
            return false
        }
        guard gauges?.stuckHubs(patience).isEmpty ?? true else { return false }
        for (hub, answer) in hubs {
            answer.isGiven.store(false, ordering: .relaxed)
            hub.perform(.answerWatchdog) { _ in answer.isGiven.store(true, ordering: .relaxed) }
        }
        return true
    }
}
