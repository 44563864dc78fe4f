import GreenNet

/// Samples a server under load with perf.
struct ProfileSampler {
    private let harness: Harness
    private let count: Int
    private let seconds: Double

    init(_ harness: Harness, count: Int, seconds: Double) {
        (self.harness, self.count, self.seconds) = (harness, count, seconds)
    }

    /// Nanoseconds a message for each place.
    func sample(_ start: ServerStart) throws -> [ProfilePlace: Double] {
        Progress.show("\(count) connections: \(start.name)")
        defer { Progress.clear() }
        return try withScratchFolder { folder in
            let file = "\(folder)/perf"
            let cost = try harness.withServer(start) { try record($0, into: file) }
            let report = ["perf", "report", "-i", file, "--no-children", "--stdio", "-F", "overhead,dso,symbol"]
            return ProfilePlace.shares(in: try Tool.run(report)).mapValues { $0 * cost }
        }
    }

    /// Returns the CPU time of a message in nanoseconds.
    private func record(_ server: RunningServer, into file: String) throws -> Double {
        let load = seconds + 1
        let options = ["--attended", "--connections", "\(count)", "--seconds", "\(load)"]
        return try harness.load(server).attended(options, seconds: load) { generator in
            let before = server.cpuTime
            let recording = spawn(name: "perf") { [seconds] in
                try Tool.run([
                    "perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-t", "\(server.pid)", "-o", file, "--",
                    "sleep", "\(seconds)",
                ])
            }
            defer { recording.kill() }
            try generator.go()
            let report = try LoadReport(parsing: try generator.hear())
            let used = server.cpuTime - before
            _ = try recording.value()
            return Double(used) / report.messages
        }
    }
}
