import ArgumentParser
import ProgramKit

/// `EchoBench cores`: what a second core brings, and how connections spread over the hubs.
struct Cores: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Compares one worker with two, with two processes and with two in C, each under two generators at once.",
        discussion: "Prints Markdown tables; the rounds are in .build/bench/cores.csv.")

    @Option(help: "Rounds; in each, every server is measured once.") var rounds = 5
    @Option(help: "Length of one measurement.") var seconds = 3.0
    @Option(help: "Connections of both generators together.") var connections = NumberList([64, 1000])
    @Option(help: "echo-server.") var server = ".build/release/echo-server"

    func validate() throws {
        try check("rounds", Double(rounds))
        try check("seconds", seconds, atLeast: 0.001)
        for count in connections.numbers { try check("connections", Double(count), atLeast: 2) }
    }

    func run() throws {
        try Tool.check(
            [GeneratorStart.program, "\(GeneratorStart.folder)/epoll-floor", server], builtBy: "bench-cores")
        _ = DescriptorLimit.raise()
        let run = try CoresRun(self)
        try run.measure()
        Progress.clear()
        print(CoresReport(run.samples, self).text)
    }
}
