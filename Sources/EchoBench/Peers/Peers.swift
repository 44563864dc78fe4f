import ArgumentParser
import ProgramKit

/// `EchoBench peers`: echo-server's models beside the same service in other languages.
struct Peers: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compares the models with the same service in C, Rust, C++, Go, SwiftNIO and Python.",
        discussion: """
            Prints Markdown tables, which are in .build/bench/peers.md too; the rounds are in .build/bench/peers*.csv.

            A load is CONNECTIONS or CONNECTIONSxDEPTH with messages of 64 bytes, bulk (16 connections, 64 KiB), or churn (connect, one \
            message, close).
            """)

    @Flag(help: "One round of a few short loads, to see that all works.") var quick = false
    @Option(help: "Rounds; in each, every server is measured with each load. (default: 3)") var rounds: Int?
    @Option(help: "Length of one measurement. (default: 1)") var seconds: Double?
    @Option(help: "Loads with server and generator on one CPU. (default: \(Peers.usualLoads))") var loads: LoadList?
    @Option(help: "Loads with a CPU for each. (default: \(Peers.usualApartLoads))") var apartLoads: LoadList?
    @Option(
        help: """
            Measured once: hold (memory of idle connections), calls (system calls a message), instructions and lines of the cache (a message). (default: all)
            """) var extras: ExtraList?
    @Option(help: "Connections of hold. (default: 10000)") var crowd: Int?
    @Option(help: "Seconds after the last message at which hold reads the memory. (default: 15)") var idle: Double?
    @Option(help: "Measures the C epoll server and those servers that match this regular expression.")
    var only: NamePattern?
    @Option(
        help: ArgumentHelp(
            "Measures this server too: it says \"listening on 127.0.0.1:PORT\" on standard error, or has {port} among its arguments.",
            valueName: "name=command")) var also: [NamedCommand] = []
    @Option(help: "echo-server.") var server = ".build/release/echo-server"
    @OptionGroup var placement: PlacementOptions
    @Option(help: "The generator's CPU, where each has its own.") var otherCpu = 0
    @Option(help: "Folder for tables and rounds.") var results = ".build/bench"

    private static let usualLoads = "64 1000 64x16 1000x16 10000 10000x16 bulk churn"
    private static let usualApartLoads = "64 1000 64x16 bulk churn"

    func validate() throws {
        try check("rounds", Double(plan.rounds))
        try check("seconds", plan.seconds, atLeast: 0.001)
        try check("crowd", Double(plan.crowd))
        try check("idle", plan.idle, atLeast: 0)
    }

    var plan: PeerPlan {
        let usual = quick ? PeerPlan.quick : PeerPlan.usual
        return PeerPlan(
            rounds: rounds ?? usual.rounds, seconds: seconds ?? usual.seconds, loads: loads?.loads ?? usual.loads,
            apartLoads: apartLoads?.loads ?? usual.apartLoads, extras: extras?.extras ?? usual.extras,
            crowd: crowd ?? usual.crowd, idle: idle ?? usual.idle)
    }

    func run() throws {
        let run = try measure()
        let report = PeersReport(run).text + "\n"
        try TextFile(creating: "\(results)/peers.md").write(report)
        print(report, terminator: "")
    }

    func measure() throws -> PeersRun {
        try Tool.check([GeneratorStart.program] + ModelContender.floors + [server], builtBy: "bench-peers")
        var plan = plan
        plan.crowd = min(plan.crowd, DescriptorLimit.raise() - 100)
        if Machine.processors < 2 { plan.apartLoads = [] }
        var roster = PeerRoster(server: server, also: also) { only?.matches($0) ?? true }
        roster.build()
        let run = try PeersRun(plan, roster, PeerPlaces(placement, otherCPU: otherCpu), folder: results)
        try run.measure()
        Progress.clear()
        return run
    }
}

/// How much is measured.
struct PeerPlan {
    var rounds: Int
    var seconds: Double
    var loads: [PeerLoad]
    var apartLoads: [PeerLoad]
    var extras: [PeerExtra]
    var crowd: Int
    var idle: Double

    static let usual = PeerPlan(
        rounds: 3, seconds: 1, loads: PeerLoad.all("64 1000 64x16 1000x16 10000 10000x16 bulk churn"),
        apartLoads: PeerLoad.all("64 1000 64x16 bulk churn"), extras: PeerExtra.allCases, crowd: 10000, idle: 15)
    static let quick = PeerPlan(
        rounds: 1, seconds: 0.3, loads: PeerLoad.all("64 bulk churn"), apartLoads: PeerLoad.all("64"),
        extras: [.hold, .calls], crowd: 1000, idle: 0)
}

/// What is measured once.
enum PeerExtra: String, CaseIterable {
    /// Memory of idle connections.
    case hold
    /// System calls a message.
    case calls
    /// Instructions a message.
    case instructions
    /// Cache lines a message.
    case lines
}
