import ArgumentParser
import ProgramKit

/// `EchoBench million`: a million green threads parked at once, then a million connections open at once.
struct Million: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Parks a million green threads in one process, then opens a million connections to echo-server.",
        discussion: "Says first what the machine lacks for it, and does as many as it can bear.")

    enum Part: String, ExpressibleByArgument, CaseIterable {
        case threads, connections
    }

    @Option(help: "Green threads, and then connections.") var count = 1_000_000
    @Option(help: "MiB of memory to leave to others: with less, nothing more is begun.") var reserve = 5120
    @Option(help: "Seconds in which the connections are opened, at least. (default: one for each 10,000)") var ramp:
        Double?
    @Option(help: "Seconds for which all of them stay open, with nothing to do.") var hold = 30.0
    @Option(help: "Of these, those after which the server's memory is read once more.") var idle = 15.0
    @Option(help: "Does this part only.") var only: Part?
    @Option(help: "Folder of echo-server, echo-client and ParkedThreads.") var programs = ".build/release"

    func validate() throws {
        try check("count", Double(count))
        try check("reserve", Double(reserve), atLeast: 0)
        try check("ramp", ramp ?? 0, atLeast: 0)
        try check("hold", hold, atLeast: 0.001)
        try check("idle", idle, atLeast: 0)
        guard idle < hold else { throw ValidationError("--idle must be less than --hold, \(hold.optionText)") }
    }

    func run() throws {
        let names = ["echo-server", "echo-client", "ParkedThreads"]
        try Tool.check(names.map { "\(programs)/\($0)" }, builtBy: "bench-million")
        if only != .threads { try MillionNetwork.enterOwn() }
        print("\(Machine.description), \(Machine.processors) CPUs\n")
        var limits = try MillionLimits(count, reserve: reserve)
        limits.lookAtMappings()
        if only != .threads {
            limits.lookAtProcesses()
            limits.lookAtNetwork()
        }
        limits.lookAtMemory()
        for line in limits.notes { print(line) }
        flushOutput()
        if only != .connections, limits.threads > 0 { try ParkedThreads(self, limits.threads).run() }
        if only != .threads, limits.connections > 0 { try HeldConnections(self, limits).run() }
    }
}
