import GreenNet

/// Two generators at once, and how their connections spread over the server's hubs.
struct CoresLoad {
    private let server: RunningServer
    /// Nil for a server in C, which tells nothing.
    private let admin: AdminPage?
    private let count: Int
    private let seconds: Double
    /// Each hub notes four times a second how many green threads it has.
    private static let noteInterval = Duration.milliseconds(600)
    private static let patience = Duration.seconds(5)

    init(_ server: RunningServer, count: Int, seconds: Double) {
        (self.server, self.count, self.seconds) = (server, count, seconds)
        admin = server.ports.count > 1 ? AdminPage(port: server.ports[1]) : nil
    }

    /// The load of both, and the connections of each hub.
    func measure() throws -> (Measurement, spread: [Int]) {
        let start = GeneratorStart(placement: Placement.withUs, port: server.port)
        // All that is done once is done before anything is measured.
        _ = try start.run(["--connections", "16", "--seconds", "0.2"])
        try waitUntilIdle()
        let idle = try greenThreads()
        let options = ["--attended", "--connections", "\(count / 2)", "--seconds", "\(seconds)"]
        return try start.attended(options, seconds: seconds) { first in
            try start.attended(options, seconds: seconds) { second in
                let spread = zip(try greenThreads(), idle).map { $0 - $1 }
                return (try run([first, second]), spread)
            }
        }
    }

    private func run(_ generators: [Generator]) throws -> Measurement {
        let before = server.cpuTime
        for generator in generators { try generator.go() }
        let reports = try generators.map { try LoadReport(parsing: try $0.hear()) }
        return Measurement(report: LoadReport(sumOf: reports), serverNanoseconds: Double(server.cpuTime - before))
    }

    /// A few of each hub's own, and one for each connection.
    private func greenThreads() throws -> [Int] {
        try Greenlet.sleep(for: CoresLoad.noteInterval)
        guard let admin else { return [] }
        return try admin.values(of: "echo_server_green_threads")
    }

    /// Until earlier clients have left.
    private func waitUntilIdle() throws {
        guard let admin else { return }
        let deadline = Deadline.after(CoresLoad.patience)
        while try admin.values(of: "echo_server_connections").first != 0 {
            if deadline.hasPassed { throw BenchFailure("connections stay behind") }
            try Greenlet.sleep(for: .milliseconds(50))
        }
    }
}

extension LoadReport {
    /// Of generators that ran at once: the longest run counts, and the worst latency.
    init(sumOf reports: [LoadReport]) {
        self.init(
            messages: reports.reduce(0) { $0 + $1.messages }, seconds: reports.map(\.seconds).max() ?? 0,
            cpuSeconds: reports.reduce(0) { $0 + $1.cpuSeconds }, p50: reports.map(\.p50).max() ?? 0,
            p99: reports.map(\.p99).max() ?? 0)
    }
}
