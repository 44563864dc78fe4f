import ArgumentParser
import ProgramKit

/// `EchoBench models`: echo-server's models beside each other, beside C and beside another build.
struct Models: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compares echo-server's models with each other and with C: speed, connections a second, memory.",
        discussion: """
            Prints Markdown tables; the rounds are in .build/bench/{speed,churn,memory}.csv.  Each server is measured in each round, and the \
            medians of the rounds count.
            """)

    @Option(help: "Rounds; in each, every server is measured once.") var rounds = 5
    @Option(help: "Length of one measurement of speed.") var seconds = 3.0
    @OptionGroup var placement: PlacementOptions
    @Option(help: "OS threads, or processes, of the pools.") var pool = 64
    @Option(help: "Measures the C epoll server and those servers that match this regular expression.")
    var only: NamePattern?
    @Option(help: "echo-server.") var server = ".build/release/echo-server"
    @Option(help: "Another build of echo-server, measured beside this one; a further table compares the two.")
    var before: String?
    @Option(
        help: ArgumentHelp(
            "Measures each server with records of its connections in this file, beside itself without; a further table compares the two.",
            valueName: "file"))
    var record: String?
    @Option(help: "Connections for the tables of speed.") var connections = NumberList([64, 1000])
    @Option(help: "Connections for the table of memory.") var memoryConnections = 1000
    @Option(help: "Connections for its second part: the C epoll server and green.") var crowd = 10000

    func validate() throws {
        for (name, value) in [
            ("rounds", rounds), ("pool", pool), ("memory-connections", memoryConnections), ("crowd", crowd),
        ] {
            try check(name, Double(value))
        }
        try check("seconds", seconds, atLeast: 0.001)
    }

    func run() throws {
        let floors = [GeneratorStart.program] + ModelContender.floors
        try Tool.check(floors + [server] + (before.map { [$0] } ?? []), builtBy: "bench-models")
        let descriptors = DescriptorLimit.raise()
        let place = Placement(cpu: placement.cpu, policy: placement.permittedPolicy())
        let harness = Harness(server: place, generator: place, group: ControlGroup(for: place))
        let run = try ModelsRun(self, harness, crowd: min(crowd, descriptors - 100))
        try run.measure()
        Progress.clear()
        print(ModelsReport(run, policy: place.policy).text)
    }

    var contenders: [ModelContender] {
        ModelContender.all(server: server, before: before, record: record, pool: pool).filter { contender in
            contender.isFloor || only?.matches(contender.family) ?? true
        }
    }
}
