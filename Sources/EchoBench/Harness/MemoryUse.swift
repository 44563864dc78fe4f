import ProgramKit

/// What a tree of processes holds: sums over all of them, memory in KiB.
struct MemoryUse {
    /// Resident pages, those that several processes share divided among them.
    let pss: Int
    /// Resident pages, shared ones counted again for each process.
    let rss: Int
    let pageTables: Int
    let threads: Int
    let processes: Int

    init(of tree: ProcessTree) {
        let rollups = tree.processes.map { SmallFile.text(of: "/proc/\($0)/smaps_rollup") ?? "" }
        let statuses = tree.processes.map { SmallFile.text(of: "/proc/\($0)/status") ?? "" }
        pss = MemoryUse.sum("Pss", rollups)
        rss = MemoryUse.sum("Rss", rollups)
        pageTables = MemoryUse.sum("VmPTE", statuses)
        threads = MemoryUse.sum("Threads", statuses)
        processes = tree.processes.count
    }

    private static func sum(_ name: String, _ texts: [String]) -> Int {
        texts.reduce(0) { $0 + (field(name, of: $1) ?? 0) }
    }

    var values: [Double] { [pss, rss, pageTables, threads, processes].map(Double.init) }
    static let columns = ["pss_kib", "rss_kib", "page_tables_kib", "threads", "processes"]
}
