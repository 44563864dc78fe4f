import Glibc
import GreenNet

/// One load from its beginning to its end, with what a person at a terminal sees meanwhile.
final class LoadRun {
    private let plan: LoadPlan
    private let fleet: LoadFleet
    private var signal: Int32?

    init(_ plan: LoadPlan, processes: Int?) throws {
        self.plan = plan
        fleet = try LoadFleet(plan, processes: processes)
        self.processes = fleet.processes
    }

    let processes: Int

    /// Returns what came out, and the signal that has ended it early.
    func run() throws -> (LoadResult, signal: Int32?) {
        defer { fleet.close() }
        let signals = spawn(name: "signals") { [self] in try obeySignals() }
        let progress = spawn(name: "progress") { [self] in try showProgress() }
        defer {
            signals.kill()
            progress.kill()
            LoadProgress.clear()
        }
        try fleet.open()
        fleet.go()
        return (try fleet.wait(), signal)
    }

    /// The first one ends the load; the second one the program.
    private func obeySignals() throws {
        let watcher = SignalWatcher(SIGINT, SIGTERM)
        signal = try watcher.wait()
        fleet.stop()
        exit(128 + (try watcher.wait()))
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
