/// The cost of single steps as Markdown.
struct MicroReport {
    private let steps: Samples
    private let programs: MicroPrograms
    private let rounds: Int
    private let policy: Policy
    private static let blockSize = 65536.0
    private static let uppercase = "uppercase of 64 KiB"
    private static let copy = "copy of 64 KiB"
    private static let spawn = "spawn, run, join"

    init(_ steps: Samples, _ programs: MicroPrograms, rounds: Int, policy: Policy) {
        (self.steps, self.programs, self.rounds, self.policy) = (steps, programs, rounds, policy)
    }

    var text: String {
        var parts = ["\(Machine.description); policy \(policy.rawValue); medians of \(rounds) rounds."]
        if !programs.missing.isEmpty {
            parts += ["Missing:", programs.missing.map { "- \($0)" }.joined(separator: "\n")]
        }
        parts += [stepTable.text, blockTable.text]
        if let width = VectorWidth.ofUppercase(in: programs.program) {
            parts.append("GreenNet has its uppercase in vectors of \(width) bits.")
        }
        parts.append(aimTable.text)
        if programs.words[MicroPrograms.before] != nil { parts.append(buildTable.text) }
        return parts.joined(separator: "\n\n")
    }

    // MARK: Figures

    private func median(_ program: String, _ step: String) -> Double {
        steps.median(of: program, in: step, "nanoseconds")
    }

    private static func text(_ nanoseconds: Double) -> String { nanoseconds.decimals(nanoseconds < 100 ? 1 : 0) }

    /// Of a step's time to that of another one or of another program, in the same round.
    private func ratio(_ program: String, _ step: String, to other: String, _ otherStep: String) -> Double {
        let bases = Dictionary(
            uniqueKeysWithValues: steps.rows(of: other, in: otherStep).map { ($0.round, $0["nanoseconds"]) })
        let ratios = steps.rows(of: program, in: step).compactMap { row in
            bases[row.round].map { row["nanoseconds"] / $0 }
        }
        return Spread(ratios).median
    }

    // MARK: Tables

    private var stepTable: MarkdownTable {
        var table = MarkdownTable(
            "one", ["GreenNet ns", "Go ns", "Rust tokio ns", "greenlet, gevent, asyncio ns", "GreenNet / Go"])
        for step in steps.groups where !step.contains("64 KiB") {
            let times = [MicroPrograms.ours, "go", "tokio", "gevent"].map { MicroReport.text(median($0, step)) }
            table.add([step] + times + [ratio(MicroPrograms.ours, step, to: "go", step).decimals(2)])
        }
        return table
    }

    private var blockTable: MarkdownTable {
        var table = MarkdownTable("64 KiB in cache, GB/s", ["GreenNet", "Go", "Python"])
        for (name, step) in [("uppercase", MicroReport.uppercase), ("copy", MicroReport.copy)] {
            let speeds = [MicroPrograms.ours, "go", "gevent"].map { MicroReport.blockSize / median($0, step) }
            table.add([name] + speeds.map { $0.decimals(1) })
        }
        return table
    }

    private var aimTable: MarkdownTable {
        let ours = MicroPrograms.ours
        var table = MarkdownTable("ratio", ["is", "aim: at most"])
        let yield = ratio(ours, "yield, 2 threads", to: ours, "bare switch") / 2
        table.add("yield / two bare switches", yield.decimals(2), "2.0")
        let spawn = ratio(ours, MicroReport.spawn, to: "go", MicroReport.spawn)
        table.add("spawn, run, join / a goroutine", spawn.decimals(2), "0.5")
        let uppercase = ratio(ours, MicroReport.uppercase, to: ours, MicroReport.copy)
        table.add("uppercase / memcpy", uppercase.decimals(2), "1.5")
        return table
    }

    private var buildTable: MarkdownTable {
        var table = MarkdownTable([
            .name("this build beside the one before"), .number("this ns"), .number("before ns"),
            .number("this / before"), .name("worse"),
        ])
        for step in steps.groups {
            let spread = steps.ratio(of: MicroPrograms.ours, to: MicroPrograms.before, in: step) { $0["nanoseconds"] }
            let times = [MicroPrograms.ours, MicroPrograms.before].map { MicroReport.text(median($0, step)) }
            let verdict = BuildComparison.isWorse(spread.median, false) ? "**worse**" : ""
            table.add([step] + times + [spread.text(decimals: 3), verdict])
        }
        return table
    }
}
