import Glibc
import GreenNet
import ProgramKit
import Synchronization

/// `--processes`: forked processes that serve with hubs.
struct HubProcesses {
    private let parts: ServiceParts
    private let count: Int
    private let hubsEach: Int

    init(_ parts: ServiceParts, count: Int, hubsEach: Int) {
        (self.parts, self.count, self.hubsEach) = (parts, count, hubsEach)
    }

    /// Returns when a signal has ended the service and the clients are done.
    func run(_ listeners: Listeners, _ state: ServiceState) throws {
        let channels = WorkerChannels(count)
        let supervisor = Supervisor(count: count, prepare: HubProcesses.leaveSignalsToParent) { slot in
            serve(slot, listeners.places.map { $0.sets(sets(of: slot)) }, channels.number(ofWorker: slot))
        }
        supervisor.inherit = { slot in
            channels.open(slot)
            let sockets = listeners.places.flatMap { $0.sets(sets(of: slot)).sockets.joined() }
            return Fork.Inheritance(
                descriptors: sockets.map(\.descriptor) + (channels.number(ofWorker: slot).map { [$0] } ?? []),
                signalAtParentsEnd: SIGTERM, keepsSignalsBlocked: true, oomScoreRaise: Supervisor.oomScoreRaise)
        }
        supervisor.onStart = { channels.started($0) }
        state.onListenerChange = { change in
            for slot in 0..<count where !channels.tell(slot, change, sets(of: slot)) { supervisor.replace(slot) }
            for place in change.removed { place.close() }
        }
        let supervision = Supervision(parts, state, supervisor, rowsOfWorker: hubsEach, gauges: parts.shared.gauges)
        try supervision.run(on: listeners, stopSequence: StopSequence.hubProcesses)
    }

    private func sets(of slot: Int) -> Range<Int> { (slot * hubsEach)..<((slot + 1) * hubsEach) }

    /// A Ctrl-C, say, reaches all processes of a terminal; the parent decides what it means.
    private static func leaveSignalsToParent() { for number in [SIGINT, SIGHUP, SIGUSR2] { signal(number, SIG_IGN) } }

    /// In the child of `slot`.  Returns its exit status.
    ///
    /// Serves on an OS thread that is made after the fork.  The runtime's locks identify an OS thread by a number that it caches, and the
    /// forked OS thread has its parent's: it would hold the first contended lock for ever.
    private func serve(_ slot: Int, _ places: [OpenPlace], _ channel: Int32?) -> Int32 {
        let isWell = Atomic(false)
        do throws(SystemError) {
            let thread = try OSThread.start(named: "hub", stackSize: OSThread.smallStack, blocksSignals: true) {
                [parts, hubsEach] in
                let service = Service(parts, places, hubs: hubsEach, firstRow: slot * hubsEach, nil)
                isWell.store(parts.log.exitStatus { try service.run(channel: channel) } == 0, ordering: .relaxed)
            }
            thread.join()
        } catch {
            parts.log.failed(error)
        }
        return isWell.load(ordering: .relaxed) ? 0 : ExitStatus.system.rawValue
    }
}

extension ServerLog {
    /// Runs `body` in a forked child, and returns the child's exit status.  The child logs what `body` throws: its parent sees the status only.
    func exitStatus(_ body: () throws -> Void) -> Int32 {
        do {
            try body()
            return 0
        } catch {
            failed(error)
            return ExitStatus.system.rawValue
        }
    }
}
