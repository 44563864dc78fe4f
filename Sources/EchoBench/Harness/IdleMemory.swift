/// The table of what idle connections cost, from rows of `columns`.
enum IdleMemory {
    static let columns =
        ["connections"] + MemoryUse.columns.map { "before_\($0)" } + MemoryUse.columns.map { "after_\($0)" }

    static func values(_ count: Int, _ memory: (before: MemoryUse, after: MemoryUse)) -> [Double] {
        [Double(count)] + memory.before.values + memory.after.values
    }

    /// What one connection adds, in KiB.
    static func perConnection(_ kind: String) -> (Samples.Row) -> Double {
        { ($0["after_\(kind)"] - $0["before_\(kind)"]) / $0["connections"] }
    }

    static func table(_ samples: Samples, group: String) -> MarkdownTable {
        var table = MarkdownTable(
            "server",
            [
                "connections", "Pss KiB/connection", "page tables KiB/connection", "Rss KiB/connection", "MiB without",
                "MiB with", "OS threads", "processes",
            ])
        for name in samples.servers(in: group) { table.add(cells(of: name, samples, group)) }
        return table
    }

    private static func cells(of name: String, _ samples: Samples, _ group: String) -> [String] {
        func median(_ figure: (Samples.Row) -> Double) -> Double { samples.spread(of: name, in: group, figure).median }
        func total(_ when: String) -> Double {
            median { ($0["\(when)_pss_kib"] + $0["\(when)_page_tables_kib"]) / 1024 }
        }
        let each = ["pss_kib", "page_tables_kib", "rss_kib"].map { median(perConnection($0)).decimals(2) }
        let totals = [total("before").decimals(1), total("after").decimals(1)]
        let counts = ["after_threads", "after_processes"].map { column in median { $0[column] }.decimals(0) }
        return [name, median { $0["connections"] }.decimals(0)] + each + totals + counts
    }
}
