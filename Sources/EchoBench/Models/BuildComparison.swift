/// The figures of two builds of echo-server side by side, each with the median of the ratios in the same round.
struct BuildComparison {
    private let run: ModelsRun
    /// A figure that is worse than the other build's by more than this is marked.
    private static let tolerance = 1.02

    init(_ run: ModelsRun) { self.run = run }

    var parts: [String] {
        [
            run.options.record == nil
                ? "### This build beside the one before" : "### With records, beside without (\"before\")",
            """
            The ratio is the median of those in each round. "\(ModelContender.again)" beside "\(ModelContender.floor)" is the noise. Marked is \
            what is worse by more than \(BuildComparison.percent) %.
            """, table.text,
        ]
    }

    private static var percent: String { ((tolerance - 1) * 100).decimals(0) }

    private var table: MarkdownTable {
        var table = MarkdownTable([
            .name("server"), .name("figure"), .number("this"), .number("before"), .number("this / before"),
            .name("worse"),
        ])
        for count in run.options.connections.numbers {
            let what = "\(count) connections: "
            add(what + "messages/s", run.speed, "\(count)", isBetterHigh: true, &table) { $0["messages_per_second"] }
            add(what + "CPU us/message", run.speed, "\(count)", &table) { $0["server_us"] }
        }
        add("churn: connections/s", run.churn, "", isBetterHigh: true, &table) { $0["connections_per_second"] }
        add("churn: CPU us/connection", run.churn, "", &table) { $0["server_us"] }
        for size in run.memorySizes {
            add("\(size) idle: Pss KiB each", run.memory, "\(size)", &table, IdleMemory.perConnection("pss_kib"))
            add(
                "\(size) idle: page tables KiB each", run.memory, "\(size)", &table,
                IdleMemory.perConnection("page_tables_kib"))
        }
        return table
    }

    /// A row for each server that was measured in both builds, and for the noise.
    private func add(
        _ title: String, _ samples: Samples, _ group: String, isBetterHigh: Bool = false, _ table: inout MarkdownTable,
        _ figure: (Samples.Row) -> Double
    ) {
        let servers = samples.servers(in: group)
        for name in servers {
            let base = name == ModelContender.again ? ModelContender.floor : ModelContender.before(name)
            guard servers.contains(base) else { continue }
            let ratio = samples.ratio(of: name, to: base, in: group, figure)
            let (this, other) = (
                samples.spread(of: name, in: group, figure), samples.spread(of: base, in: group, figure)
            )
            table.add(
                name, title, this.median.decimals(2), other.median.decimals(2), ratio.text(decimals: 3),
                BuildComparison.isWorse(ratio.median, isBetterHigh) ? "**worse**" : "")
        }
    }

    static func isWorse(_ ratio: Double, _ isBetterHigh: Bool) -> Bool {
        isBetterHigh ? ratio < 1 / tolerance : ratio > tolerance
    }
}
