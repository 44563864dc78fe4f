import Glibc
import GreenNet
import ProgramKit

/// One load from its beginning to its end, with what a person at a terminal sees meanwhile.
final class LoadRun {
    private let plan: LoadPlan
    private let fleet: LoadFleet
    private var signal: Int32?
    private(set) var processes = 0

    init(_ plan: LoadPlan, processes: Int?) { (self.plan, fleet) = (plan, LoadFleet(plan, processes: processes)) }

    /// Returns what came out, and the signal that has ended it early.
    func run() throws -> (LoadResult, signal: Int32?) {
        let watcher = SignalWatcher(SIGINT, SIGTERM)
        let signals = spawn(name: "signals") { [self] in try obeySignals(watcher) }
        defer {
            signals.kill()
            // Once it has ended, the signals have their usual effect again: to write the report may block the hub for ever.
            _ = try? shielded { try signals.value() }
        }
        defer { fleet.close() }
        let progress = spawn(name: "progress") { [self] in try showProgress() }
        defer {
            progress.kill()
            LoadProgress.clear()
        }
        try fleet.start()
        processes = fleet.processes
        try fleet.open()
        fleet.go()
        return (try fleet.wait(), signal)
    }

    /// The first one ends the load; the second one the program.
    private func obeySignals(_ watcher: SignalWatcher) throws {
        let first = try watcher.wait()
        signal = first
        fleet.stop()
        exit(ExitStatus.ended(bySignal: try watcher.wait()))
    }

    private func showProgress() throws {
        guard LoadProgress.isSeen else { return }
        var display = LoadProgress(plan)
        while true {
            try Greenlet.sleep(for: .milliseconds(200))
            display.show(fleet.progress, isOpening: !fleet.isOpen)
        }
    }
}
