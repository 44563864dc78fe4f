/// The comparison of models as Markdown.
struct ModelsReport {
    private let run: ModelsRun
    private let policy: Policy
    private var options: Models { run.options }

    init(_ run: ModelsRun, policy: Policy) { (self.run, self.policy) = (run, policy) }

    var text: String {
        var parts = [
            """
            \(Machine.description); one CPU for server and generator, policy \(policy.rawValue); \(options.rounds) rounds of \
            \(options.seconds) s: medians, and in brackets the least and the greatest.
            """
        ]
        for count in options.connections.numbers {
            parts += ["### \(count) connections, 64 bytes, one message in flight on each", speedTable("\(count)").text]
        }
        parts += ["### Connect, one message, close", churnTable.text]
        for size in run.memorySizes {
            parts += ["### Memory of \(size) idle connections", IdleMemory.table(run.memory, group: "\(size)").text]
        }
        if options.before != nil || options.record != nil { parts += BuildComparison(run).parts }
        return parts.joined(separator: "\n\n")
    }

    private func speedTable(_ group: String) -> MarkdownTable {
        var table = MarkdownTable(
            "server",
            [
                "connections", "messages/s", "x floor", "server CPU us/message", "x floor", "generator us/message",
                "p50 us", "p99 us", "CPU used",
            ])
        for name in run.speed.servers(in: group) {
            func median(_ column: String) -> Double { run.speed.median(of: name, in: group, column) }
            table.add(
                name, median("connections").decimals(0), median("messages_per_second").decimals(0),
                ratio(name, "messages_per_second", run.speed, group), median("server_us").decimals(2),
                ratio(name, "server_us", run.speed, group), median("load_us").decimals(2),
                median("p50_us").decimals(0), median("p99_us").decimals(0), "\((100 * median("busy")).decimals(0)) %")
        }
        return table
    }

    private func ratio(_ name: String, _ column: String, _ samples: Samples, _ group: String = "") -> String {
        samples.ratio(of: name, to: ModelContender.floor, in: group) { $0[column] }.text()
    }

    private var churnTable: MarkdownTable {
        var table = MarkdownTable("server", ["at a time", "connections/s", "x floor", "p99 us"])
        for name in run.churn.servers() {
            func median(_ column: String) -> String { run.churn.median(of: name, column).decimals(0) }
            table.add(
                name, median("connections"), median("connections_per_second"),
                ratio(name, "connections_per_second", run.churn), median("p99_us"))
        }
        return table
    }
}
