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

    /// `sockets` are a set for each hub of all processes.  Returns when a signal has ended the service and the clients are done.
    func run(_ sockets: [[ListeningSocket]], _ state: ServiceState) throws {
        let inheritance = Fork.Inheritance(
            descriptors: sockets.joined().map(\.descriptor), signalAtParentsEnd: SIGTERM, keepsSignalsBlocked: true,
            oomScoreRaise: Supervisor.oomScoreRaise)
        let supervisor = Supervisor(count: count, inheritance, prepare: HubProcesses.leaveSignalsToParent) { slot in
            serve(slot, sockets)
        }
        let supervision = Supervision(parts, state, supervisor, rowsOfWorker: hubsEach, gauges: parts.shared.gauges)
        try supervision.run(on: sockets, stopSequence: StopSequence.hubProcesses)
    }

    /// A Ctrl-C, say, reaches all processes of a terminal; the parent decides what it means.
    private static func leaveSignalsToParent() { for number in [SIGINT, SIGHUP] { signal(number, SIG_IGN) } }

    /// In the child of `slot`.  Returns its exit status.
    ///
    /// Serves on an OS thread that is made after the fork.  The runtime's locks identify an OS thread by a number that it caches, and the
    /// forked OS thread has its parent's: it would hold the first contended lock for ever.
    private func serve(_ slot: Int, _ sockets: [[ListeningSocket]]) -> Int32 {
        let own = (slot * hubsEach)..<((slot + 1) * hubsEach)
        for index in sockets.indices where !own.contains(index) { for socket in sockets[index] { socket.close() } }
        let isWell = Atomic(false)
        do throws(SystemError) {
            let thread = try OSThread.start(named: "hub", stackSize: OSThread.smallStack, blocksSignals: true) {
                [parts] in
                let service = Service(parts, sockets: Array(sockets[own]), firstRow: own.lowerBound, nil)
                isWell.store(parts.log.exitStatus { try service.run() } == 0, ordering: .relaxed)
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
