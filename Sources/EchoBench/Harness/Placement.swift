import ArgumentParser

/// The scheduling policy: with fifo, a process keeps the CPU until it waits; other is the system's default.
enum Policy: String, ExpressibleByArgument, CaseIterable {
    case fifo, other
}

/// Where a process runs, and under which policy: as the words that are put before its command.
struct Placement {
    let cpu: Int
    let policy: Policy

    var words: [String] {
        let chrt = policy == .fifo ? ["chrt", "-f", "1"] : []
        return Placement.withUs + chrt + ["taskset", "-c", "\(cpu)"]
    }

    /// The kernel ends the process when this one ends, also by SIGKILL.
    static let withUs = Tool.isInstalled("setpriv") ? ["setpriv", "--pdeathsig", "KILL"] : []
}

/// The options that say where server and generator run.
struct PlacementOptions: ParsableArguments {
    @Option(help: "The CPU that server and generator share.")
    var cpu = Machine.processors - 1

    @Option(help: "fifo: who runs keeps the CPU until it waits; or other, also where fifo is not permitted.")
    var policy = Policy.fifo

    /// The policy asked for, or the usual one where that is not permitted.
    func permittedPolicy() -> Policy {
        guard policy == .fifo, (try? Tool.run(["chrt", "-f", "1", "true"])) != nil else { return .other }
        return .fifo
    }
}
