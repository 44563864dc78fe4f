import Glibc
import GreenNet
import Synchronization

/// Finds out whether all hubs of the service turn.
///
/// The one that asks does, or it could not ask.  Each of the process' others has from one question to the next to answer; those of other
/// processes have gauges.
struct Watchdog {
    private let hubs: [(hub: WorkerHub, answer: Answer)]

    /// Given by another hub.
    private final class Answer: Sendable {
        let isGiven = Atomic(true)
    }

    private let gauges: HubGauges?
    private let patience: Duration

    /// A hub with a gauge is stuck when it was not measured for longer than `patience`.
    init(_ hubs: [WorkerHub], _ gauges: HubGauges? = nil, patience: Duration = HubGauges.patience) {
        self.hubs = hubs.map { ($0, Answer()) }
        (self.gauges, self.patience) = (gauges, patience)
    }

    /// How long a hub may be stuck with these settings before the service manager is to restart the service.  Where a worker that is stuck
    /// is replaced, the manager is for the case that this does not help.
    static func patience(_ settings: Settings) -> Duration {
        guard settings.arrangement.forksHubs, let timeout = settings.workerTimeout else { return HubGauges.patience }
        return timeout + HubGauges.patience
    }

    /// How often process `pid` is to say that it is alive: twice in the time after which it is taken for stuck.  Nil where nobody waits for it.
    static func interval(_ variables: ManagerVariables, of pid: pid_t) -> Duration? {
        let isForUs = variables["WATCHDOG_PID"] == nil || (try? variables.names(pid, in: "WATCHDOG_PID")) == true
        guard isForUs, let time = variables["WATCHDOG_USEC"].flatMap({ Int64($0) }), time > 0 else { return nil }
        return .microseconds(time) / 2
    }

    /// Whether all have answered since they were asked last; if so, asks again.
    func allTurn() -> Bool {
        // One that has ended has nothing left to do.
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
