/// Green threads parked in one process, by the program of that name.
struct ParkedThreads {
    private let options: Million
    private let count: Int

    init(_ options: Million, _ count: Int) { (self.options, self.count) = (options, count) }

    func run() throws {
        print("\n### \(count) green threads parked in one process\n")
        flushOutput()
        let reserve = options.reserve * 1024
        let line = try Tool.run(["\(options.programs)/ParkedThreads", "\(count)", "\(reserve)"])
        let figures = Figures(line)
        let parked = try figures["threads"]
        if parked < Double(count) {
            print("Stopped at \(parked.decimals(0)) green threads: less than \(options.reserve) MiB were left.\n")
        }
        print(try ParkedThreads.table(figures, parked).text)
    }

    private static func table(_ figures: Figures, _ count: Double) throws -> MarkdownTable {
        var table = MarkdownTable("what", ["all", "each"])
        for (name, key) in [("resident memory", "resident_kib"), ("page tables", "page_tables_kib")] {
            table.add(memory: name, try figures[key], count)
        }
        table.add("mappings", try figures["mappings"].decimals(0), "")
        for (name, key) in [("time to spawn and park", "spawn"), ("time to wake and end", "end")] {
            let (time, cpu) = (try figures["\(key)_ms"], try figures["\(key)_cpu_ms"])
            table.add(
                name, "\((time / 1000).decimals(2)) s, of CPU time \((cpu / 1000).decimals(2)) s",
                "\((cpu * 1000 / count).decimals(2)) us of CPU time")
        }
        for (name, key) in [("resident memory", "left_resident_kib"), ("page tables", "left_page_tables_kib")] {
            table.add(memory: "5 s after their end: \(name)", try figures[key], count)
        }
        return table
    }
}

extension MarkdownTable {
    /// A row of MiB in all and KiB for each of `count`.
    mutating func add(memory name: String, _ kib: Double, _ count: Double) {
        add(name, "\((kib / 1024).decimals(0)) MiB", "\((kib / count).decimals(2)) KiB")
    }
}
