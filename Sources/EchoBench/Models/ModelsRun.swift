/// The measurements of the comparison of models.
final class ModelsRun {
    let options: Models
    let crowd: Int
    let speed: Samples
    let churn: Samples
    let memory: Samples
    private let harness: Harness
    private let contenders: [ModelContender]
    /// It hardly varies.
    private static let memoryRounds = 3
    private static let churnConnections = 64

    init(_ options: Models, _ harness: Harness, crowd: Int) throws {
        (self.options, self.harness, self.crowd, contenders) = (options, harness, crowd, options.contenders)
        let folder = GeneratorStart.folder
        speed = try Samples("\(folder)/speed.csv", columns: ModelsRun.speedColumns)
        churn = try Samples(
            "\(folder)/churn.csv", columns: ["connections", "connections_per_second", "server_us", "p99_us"])
        memory = try Samples("\(folder)/memory.csv", columns: IdleMemory.columns)
    }

    private static let speedColumns = [
        "connections", "messages_per_second", "server_us", "load_us", "p50_us", "p99_us", "busy",
    ]

    var memorySizes: [Int] { crowd == options.memoryConnections ? [crowd] : [options.memoryConnections, crowd] }

    func measure() throws {
        for round in 1...options.rounds {
            for contender in ModelContender.order(contenders, in: round) {
                Progress.show("round \(round) of \(options.rounds): \(contender.name)")
                try measureSpeed(contender, round)
                if round <= ModelsRun.memoryRounds, contender.name != ModelContender.again {
                    try measureMemory(contender, round)
                }
            }
        }
    }

    private func measureSpeed(_ contender: ModelContender, _ round: Int) throws {
        try harness.withServer(contender.start) { server in
            for wanted in options.connections.numbers {
                let count = min(wanted, contender.places ?? .max)
                let result = try harness.measure(server, seconds: options.seconds, ["--connections", "\(count)"])
                try speed.add(contender.name, round: round, group: "\(wanted)", ModelsRun.values(count, result))
            }
            let count = min(ModelsRun.churnConnections, contender.places ?? .max)
            let churning = ["--mode", "churn", "--connections", "\(count)"]
            let result = try harness.measure(server, seconds: options.seconds, churning)
            let report = result.report
            try churn.add(
                contender.name, round: round, [Double(count), report.rate, result.serverTimePerMessage, report.p99])
        }
    }

    private static func values(_ count: Int, _ result: Measurement) -> [Double] {
        let report = result.report
        return [
            Double(count), report.rate, result.serverTimePerMessage, result.generatorTimePerMessage, report.p50,
            report.p99, result.serverBusy + result.generatorBusy,
        ]
    }

    /// A fresh process for each size.  The crowd is for the floor and green only.
    private func measureMemory(_ contender: ModelContender, _ round: Int) throws {
        for wanted in memorySizes {
            let isForAll = wanted == options.memoryConnections
            guard isForAll || [ModelContender.floor, "green"].contains(contender.family) else { continue }
            let count = min(wanted, contender.places ?? .max)
            let use = try harness.withServer(contender.start) { try harness.measureIdle($0, count, after: 0) }
            try memory.add(contender.name, round: round, group: "\(wanted)", IdleMemory.values(count, use))
        }
    }
}
