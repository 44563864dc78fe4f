import ArgumentParser
import GreenNet

/// `EchoBench micro`: what the scheduler's steps cost, beside Go, tokio, gevent and another build.
struct Micro: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Times the scheduler's single steps beside the same in Go, with Rust's tokio, and with greenlet and gevent.",
        discussion:
            "Prints Markdown tables, which are in .build/bench/micro.md too; the rounds are in .build/bench/micro.csv.")

    @Option(help: "Rounds; in each, every program is run once.") var rounds = 9
    @Option(help: "Processor time of one measurement of one step, at least.") var seconds = 0.1
    @OptionGroup var placement: PlacementOptions
    @Option(help: "GreenNet's program.") var program = ".build/release/MicroBenchmarks"
    @Option(help: "Another build of it, measured beside this one; a further table compares the two.")
    var before: String?

    func validate() throws {
        try check("rounds", Double(rounds))
        try check("seconds", seconds, atLeast: 0.001)
    }

    func run() throws {
        try Tool.check([program] + (before.map { [$0] } ?? []), builtBy: "bench-micro")
        let place = Placement(cpu: placement.cpu, policy: placement.permittedPolicy())
        var programs = MicroPrograms(program: program, before: before)
        programs.build()
        let steps = try Samples("\(GeneratorStart.folder)/micro.csv", columns: ["nanoseconds"])
        for round in 1...rounds {
            for name in programs.order(in: round) {
                Progress.show("round \(round) of \(rounds): \(name)")
                let output = try Tool.run(place.words + programs.words[name]! + ["\(seconds)"])
                for step in try MicroStep.parse(output) {
                    try steps.add(name, round: round, group: step.name, [step.nanoseconds])
                }
            }
        }
        Progress.clear()
        let report = MicroReport(steps, programs, rounds: rounds, policy: place.policy).text + "\n"
        try TextFile(creating: "\(GeneratorStart.folder)/micro.md").write(report)
        print(report, terminator: "")
    }
}
