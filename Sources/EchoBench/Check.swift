import ArgumentParser

/// `EchoBench check`: whether the harness measures; for CI, in seconds.  Not: how fast a server is.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the harness for a moment, on echo-server and one peer: is everything measured?")

    @Flag(help: "Counts, by valgrind, what a message and a connection take, and nothing else: for a release build.")
    var counts = false
    @Option(help: "echo-server.") var server = ".build/debug/echo-server"

    func run() throws {
        let problems = try withScratchFolder { folder in
            counts ? try countProblems(folder) : try peersProblems(folder)
        }
        for problem in problems { complain(problem) }
        if !problems.isEmpty { throw ExitCode.failure }
        print(counts ? "The green model keeps to its ceilings." : "The harness measures.")
    }

    /// The floor, again, libev, the three models: with three loads on one CPU.
    private func peersProblems(_ folder: String) throws -> [String] {
        let command = try Peers.parse([
            "--rounds", "1", "--seconds", "0.1", "--loads", "4x2 bulk churn", "--apart-loads", "", "--extras", "hold",
            "--crowd", "20", "--idle", "0", "--policy", "other", "--only", "^(C libev|green|thread|process)$",
            "--server", server,
            "--results", folder,
        ])
        let run = try command.measure()
        return run.roster.missing.map { "missing: \($0)" } + run.failures.map { "failed: \($0)" }
            // Bulk has the floor's other buffer too.
            + problems("speed", run.speed, expected: 19, "messages_per_second")
            + problems("memory", run.memory, expected: 5, "connections")
            + (PeersReport(run).text.contains("| green |") ? [] : ["the report has no row for green"])
    }

    private func countProblems(_ folder: String) throws -> [String] {
        let run = try Peers.parse([
            "--loads", "", "--apart-loads", "", "--extras", "", "--only", "^green$", "--server", server,
            "--results", folder,
        ]).measure()
        guard let green = run.roster.peers.first(where: { $0.name == "green" }) else { return ["no green model"] }
        return try Ceiling.all.compactMap { try $0.problem(of: green, run.places.shared) }
    }

    private func problems(_ what: String, _ samples: Samples, expected: Int, _ column: String) -> [String] {
        let rows = samples.all
        let count = rows.count == expected ? [] : ["\(what): \(rows.count) measurements, not \(expected)"]
        return count + (rows.allSatisfy { $0[column] > 0 } ? [] : ["\(what): a measurement of nothing"])
    }
}
