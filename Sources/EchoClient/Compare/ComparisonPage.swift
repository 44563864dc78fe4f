import ProgramKit

/// The comparison as one self-contained page, for readers who are new to the subject.
struct ComparisonPage {
    private let comparison: Comparison
    private let command: String

    init(_ comparison: Comparison, command: String) { (self.comparison, self.command) = (comparison, command) }

    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>What a connection costs: echo servers compared</title>
        <style>\(ComparisonStyle.css)</style>
        </head>
        <body>
        <main>
        <h1>What a connection costs</h1>
        \(introduction)
        \(findings)
        <h2>The servers</h2>
        \(legend)
        <h2>How they fare with more and more connections</h2>
        <div class="plots">
        \(Figure.plots.map { plot($0) }.joined(separator: "\n"))
        </div>
        <p class="note">Points are medians of \(comparison.rounds) \(comparison.rounds == 1 ? "round" : "rounds"), thin lines reach from the \
        least to the greatest. Point at one to read it. Where a line ends early, the server can't serve more; the tables say why.</p>
        <h2>All numbers</h2>
        \(comparison.connections.indices.map { table($0) }.joined(separator: "\n"))
        \(method)
        </main>
        </body>
        </html>

        """
    }

    // MARK: Words

    private var introduction: String {
        """
        <p class="lead">An echo server sends back what it is sent. That is almost no work, so what one sees here is the price of the \
        <em>connection</em>: how a server that serves many clients at once keeps them apart, and what each way costs in speed, memory and \
        processor time. All figures are of one run on one machine: \(HTML.escaped(Machine.description)).</p>
        """
    }

    private var findings: String {
        let sentences = ComparisonFindings(comparison).sentences
        guard !sentences.isEmpty else { return "" }
        return "<ul class=\"findings\">" + sentences.map { "<li>\(HTML.escaped($0))</li>" }.joined() + "</ul>"
    }

    private var legend: String {
        let entries = comparison.contenders.enumerated().map { number, contender in
            """
            <li class="s\(number)"><svg viewBox="0 0 28 14" aria-hidden="true"><line class="key" x1="0" x2="28" y1="7" y2="7"/>\
            <g class="mark">\(Plot.mark(number, 14, 7))</g></svg><span><b>\(HTML.escaped(contender.name))</b>: each connection is \
            \(HTML.escaped(contender.meaning))</span></li>
            """
        }
        return "<ul class=\"legend\">\(entries.joined(separator: "\n"))</ul>"
    }

    private var method: String {
        let load = comparison.load
        let depth = load.depth == 1 ? "one message" : "\(load.depth) messages"
        return """
            <h2>How this was measured</h2>
            <p>Each server was started anew for each number of connections and each round, the servers taking turns within a round. The client \
            opens all connections, each of which then keeps \(depth) of \(load.size.grouped) bytes on its way for \
            \(load.duration?.inSeconds.short ?? "?") s; every byte of every answer is checked. Server and client share the machine's \
            processors. The more connections speak at once, the longer each waits for its turn: these latencies show how evenly a server \
            treats its clients at full load, not what a client waits at a moderate one.</p>
            <p class="command"><code>\(HTML.escaped(command))</code></p>
            """
    }

    // MARK: Numbers

    private func plot(_ figure: Figure) -> String {
        let series = comparison.contenders.indices.compactMap { row -> Plot.Series? in
            let points = comparison.connections.indices.compactMap { point(figure, row, $0) }
            return points.isEmpty
                ? nil : Plot.Series(name: comparison.contenders[row].name, number: row, points: points)
        }
        let plot = Plot(
            title: "\(figure.title) against the number of connections", series: series,
            xs: comparison.connections.map(Double.init), logarithmicUnit: figure.logarithmicUnit,
            text: figure.text, tick: figure.tick)
        let direction = figure.isBetterHigh ? "more is better" : "less is better"
        return """
            <figure>
            <figcaption><b>\(figure.title)</b> <span>\(direction)</span><br>\
            \(HTML.escaped(figure.explanation))\(figure.logarithmicUnit == nil ? "" : " The scale grows tenfold from line to line.")</figcaption>
            \(plot.svg)
            </figure>
            """
    }

    private func point(_ figure: Figure, _ row: Int, _ column: Int) -> Plot.Point? {
        guard case .measured(let rounds) = comparison.cell(row, column) else { return nil }
        let count = comparison.connections[column]
        let values = rounds.map { figure.value($0, count) }
        return Plot.Point(
            x: Double(count), y: figure.value(.median(of: rounds), count), range: values.min()!...values.max()!)
    }

    private func table(_ column: Int) -> String {
        let count = comparison.connections[column]
        let best = Figure.columns.map { figure in
            let values = comparison.contenders.indices.compactMap { row in
                comparison.cell(row, column).median.map { figure.value($0, count) }
            }.filter { !$0.isNaN }
            return figure.isBetterHigh ? values.max() : values.min()
        }
        let head = Figure.columns.map { "<th title=\"\(HTML.escaped($0.explanation))\">\(HTML.escaped($0.short))</th>" }
        let rows = comparison.contenders.indices.map { row in tableRow(row, column, best) }
        return """
            <h3>\(count.grouped) \(count == 1 ? "connection" : "connections")</h3>
            <div class="scroll"><table><thead><tr><th>server</th>\(head.joined())</tr></thead>
            <tbody>\(rows.joined(separator: "\n"))</tbody></table></div>
            """
    }

    private func tableRow(_ row: Int, _ column: Int, _ best: [Double?]) -> String {
        let name = "<th scope=\"row\" class=\"s\(row)\"><i></i>\(HTML.escaped(comparison.contenders[row].name))</th>"
        let cell = comparison.cell(row, column)
        guard let median = cell.median else {
            return
                "<tr>\(name)<td class=\"reason\" colspan=\"\(Figure.columns.count)\">\(HTML.escaped(cell.reason!))</td></tr>"
        }
        let values = zip(Figure.columns, best).map { figure, best in
            let value = figure.value(median, comparison.connections[column])
            return
                "<td\(figure.marksBest && value == best ? " class=\"best\"" : "")>\(HTML.escaped(figure.text(value)))</td>"
        }
        return "<tr>\(name)\(values.joined())</tr>"
    }
}
