import GreenNet

/// The measurements of one worker, two workers and two processes, and of two processes in C.
final class CoresRun {
    /// What the others are compared with.
    static let base = "1 worker"
    /// The C epoll server, with a listener of its own for each of two processes.
    static let floor = "C epoll, 2 processes"

    let samples: Samples
    private let options: Cores
    private static let servers: [(name: String, options: [String])] = [
        (base, []), ("1 worker again", []), ("2 workers", ["--workers", "2"]), ("2 processes", ["--processes", "2"]),
    ]
    private static let floorWords = ["\(GeneratorStart.folder)/epoll-floor", "--processes", "2"]

    init(_ options: Cores) throws {
        self.options = options
        samples = try Samples(
            "\(GeneratorStart.folder)/cores.csv",
            columns: ["messages_per_second", "server_us", "load_us", "p99_us", "server_cpus"])
    }

    func measure() throws {
        for round in 1...options.rounds {
            for server in CoresRun.servers {
                Progress.show("round \(round) of \(options.rounds): \(server.name)")
                let words = [options.server, "--port", "0"] + AdminPage.options + server.options
                let start = ServerStart(name: server.name, words: words, alsoSays: [AdminPage.announcement])
                for count in options.connections.numbers { try measure(start, count, round) }
            }
            for name in [CoresRun.floor, CoresRun.floor + ", again"] {
                let start = ServerStart(name: name, words: CoresRun.floorWords)
                for count in options.connections.numbers { try measure(start, count, round) }
            }
        }
    }

    private func measure(_ start: ServerStart, _ count: Int, _ round: Int) throws {
        let (result, spread) = try start.run(placement: Placement.withUs) { server in
            try CoresLoad(server, count: count, seconds: options.seconds).measure()
        }
        try samples.add(
            start.name, round: round, group: "\(count)", note: spread.map { "\($0)" }.joined(separator: " "),
            [
                result.report.rate, result.serverTimePerMessage, result.generatorTimePerMessage, result.report.p99,
                result.serverBusy,
            ])
    }
}
