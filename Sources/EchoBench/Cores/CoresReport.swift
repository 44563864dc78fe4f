/// The comparison of one worker, two workers and two processes, with two processes in C, as Markdown.
struct CoresReport {
    private let samples: Samples
    private let options: Cores
    /// Two for the server, one for each generator.
    private static let enough = 4

    init(_ samples: Samples, _ options: Cores) { (self.samples, self.options) = (samples, options) }

    var text: String {
        let processors = Machine.processors
        var parts = [
            """
            \(Machine.description), \(processors) CPUs; two generators; \(options.rounds) rounds of \(options.seconds) s: medians, and in \
            brackets the least and the greatest.
            """
        ]
        if processors < CoresReport.enough { parts.append(warning(processors)) }
        for count in options.connections.numbers {
            parts += ["### \(count) connections, 64 bytes, one message in flight on each", table("\(count)").text]
        }
        return parts.joined(separator: "\n\n")
    }

    private func warning(_ processors: Int) -> String {
        """
        With \(processors) CPUs the generators share them with the server: what a second worker wins, a generator loses.
        The rate says little here; CPU time a message says what it costs, and the spread is the kernel's anyway.
        """
    }

    private func table(_ group: String) -> MarkdownTable {
        let numbers = [
            "messages/s", "x 1 worker", "server CPU us/message", "x 1 worker", "x C", "generator us/message", "p99 us",
            "server uses CPUs",
        ]
        var table = MarkdownTable(
            [.name("server")] + numbers.map { .number($0) } + [.name("connections of each hub")])
        for name in samples.servers(in: group) {
            func median(_ column: String) -> Double { samples.median(of: name, in: group, column) }
            table.add(
                name, median("messages_per_second").decimals(0), ratio(name, "messages_per_second", group),
                median("server_us").decimals(2), ratio(name, "server_us", group),
                ratio(name, "server_us", group, to: CoresRun.floor), median("load_us").decimals(2),
                median("p99_us").decimals(0), median("server_cpus").decimals(2), spread(name, group))
        }
        return table
    }

    private func ratio(_ name: String, _ column: String, _ group: String, to base: String = CoresRun.base) -> String {
        samples.ratio(of: name, to: base, in: group) { $0[column] }.text()
    }

    /// As in `500 + 500, 498 + 502`: of each round.
    private func spread(_ name: String, _ group: String) -> String {
        samples.rows(of: name, in: group).map { $0.note.replacing(" ", with: " + ") }.joined(separator: ", ")
    }
}
