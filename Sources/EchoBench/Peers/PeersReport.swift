/// The comparison with peers as Markdown.
struct PeersReport {
    private let run: PeersRun
    private var plan: PeerPlan { run.plan }
    /// A server that used more of its CPU than this was the bottleneck.
    private static let full = 0.97

    init(_ run: PeersRun) { self.run = run }

    var text: String {
        var parts = [head]
        if !run.places.shared.hasControlGroup {
            parts.append("No control group here: CPU time of processes that have ended may be missing (churn).")
        }
        parts += list("Missing:", run.roster.missing) + list("Failed:", run.failures)
        for arrangement in Arrangement.allCases where !run.loads(arrangement).isEmpty {
            parts += tables(arrangement)
            if arrangement == .apart { parts.append(verdict) }
        }
        for extra in run.extras { parts += table(of: extra) }
        return parts.joined(separator: "\n\n")
    }

    private var head: String {
        """
        \(Machine.description); policy \(run.places.policy.rawValue); \(plan.rounds) rounds of \(plan.seconds) s: medians, and in brackets \
        the least and the greatest.
        """
    }

    private func list(_ title: String, _ items: [String]) -> [String] {
        items.isEmpty ? [] : [title, items.map { "- \($0)" }.joined(separator: "\n")]
    }

    // MARK: Loads

    private func tables(_ arrangement: Arrangement) -> [String] {
        let loads = run.loads(arrangement)
        return [
            "## \(arrangement.title)", "CPU time a message against the C epoll floor in the same round, medians:",
            summary(arrangement, loads, "server_us").text,
            "The latency that 99 of 100 messages keep, against the floor's in the same round, medians:",
            summary(arrangement, loads, "p99_us").text,
        ]
            + loads.flatMap { ["### \($0.title)", table(arrangement, $0).text] }
    }

    /// Medians of the ratio to the floor: a column for each load.
    private func summary(_ arrangement: Arrangement, _ loads: [PeerLoad], _ column: String) -> MarkdownTable {
        var table = MarkdownTable("server", loads.map(\.name))
        let groups = loads.map { PeersRun.group(arrangement, $0) }
        for peer in run.roster.peers where groups.contains(where: { run.speed.servers(in: $0).contains(peer.name) }) {
            table.add([peer.name] + groups.map { ratio(peer.name, $0, column).median.decimals(2) })
        }
        return table
    }

    private func ratio(_ name: String, _ group: String, _ column: String = "server_us") -> Spread {
        run.speed.ratio(of: name, to: ModelContender.floor, in: group) { $0[column] }
    }

    private func table(_ arrangement: Arrangement, _ load: PeerLoad) -> MarkdownTable {
        var table = MarkdownTable(
            "server",
            [
                "messages/s", "server CPU us/message", "x floor", "p50 us", "p99 us", "server busy", "generator busy",
            ])
        let group = PeersRun.group(arrangement, load)
        for name in run.roster.peers.map(\.name) where run.speed.servers(in: group).contains(name) {
            func median(_ column: String) -> Double { run.speed.median(of: name, in: group, column) }
            let (server, generator) = (median("server_busy"), median("generator_busy"))
            let isAtLeast = arrangement == .apart && server < PeersReport.full && generator > server
            table.add(
                name, (isAtLeast ? "at least " : "") + median("messages_per_second").decimals(0),
                median("server_us").decimals(2), ratio(name, group).text(), median("p50_us").decimals(0),
                median("p99_us").decimals(0), percent(server), percent(generator))
        }
        return table
    }

    private func percent(_ share: Double) -> String { "\((100 * share).decimals(0)) %" }

    /// Where the generator was the bottleneck.
    private var verdict: String {
        let rows = run.loads(.apart).map { PeersRun.group(.apart, $0) }
            .flatMap { group in run.speed.servers(in: group).flatMap { run.speed.rows(of: $0, in: group) } }
        let fine = rows.filter {
            $0["server_busy"] >= PeersReport.full || $0["generator_busy"] <= $0["server_busy"]
        }
        let most = rows.map { $0["generator_busy"] }.max() ?? 0
        return """
            In \(fine.count) of \(rows.count) measurements the server had used up its CPU, or was busier than the generator, which was never \
            busier than \(percent(most)). In the others the generator was the bottleneck, and the table says "at least".
            """
    }

    // MARK: Measured once

    private func table(of extra: PeerExtra) -> [String] {
        switch extra {
        case .hold:
            [
                "## Memory of \(plan.crowd) connections, idle for \(plan.idle.decimals(0)) s",
                IdleMemory.table(run.memory, group: "").text,
            ]
        case .calls:
            [
                "## System calls a message",
                "64 connections, 64 bytes, one in flight on each; counted by strace, in a run of its own.",
                callsTable.text,
            ]
        case .instructions:
            [
                "## Instructions a message",
                """
                64 connections, 64 bytes, one in flight on each; counted in runs of their own, by the processor or else by valgrind.
                """, instructionsTable.text,
            ]
        case .lines:
            [
                "## Cache lines a message",
                """
                1,000 connections, 64 bytes, one in flight on each; the lines of 64 bytes in user space that a data cache of 32 KiB \
                does not have, counted by valgrind.
                """, linesTable.text,
            ]
        }
    }

    private var callsTable: MarkdownTable {
        var table = MarkdownTable([.name("server"), .number("calls"), .name("of these")])
        for name in run.calls.servers() {
            let row = run.calls.rows(of: name)[0]
            table.add(name, row["calls"].decimals(2), row.note)
        }
        return table
    }

    private var instructionsTable: MarkdownTable {
        var table = MarkdownTable("server", ["in user space", "in the kernel"])
        for name in run.instructions.servers() {
            let row = run.instructions.rows(of: name)[0]
            table.add(name, row["user"].decimals(0), row["kernel"] > 0 ? row["kernel"].decimals(0) : "-")
        }
        return table
    }

    private var linesTable: MarkdownTable {
        var table = MarkdownTable("server", ["lines"])
        for name in run.lines.servers() { table.add(name, run.lines.rows(of: name)[0]["lines"].decimals(1)) }
        return table
    }
}
