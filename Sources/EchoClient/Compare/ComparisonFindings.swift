import ProgramKit

/// What the numbers of a comparison say, in sentences.
struct ComparisonFindings {
    private let comparison: Comparison

    init(_ comparison: Comparison) { self.comparison = comparison }

    var sentences: [String] {
        let columns = Set([commonColumn, greatestColumn].compactMap { $0 }).sorted()
        return columns.compactMap { fastest($0) } + [cheapest, smallest, limits].compactMap { $0 }
    }

    /// The greatest number of connections that all have served.
    private var commonColumn: Int? {
        comparison.connections.indices.filter {
            medians($0).count == comparison.contenders.count && medians($0).count > 1
        }
        .max { comparison.connections[$0] < comparison.connections[$1] }
    }

    /// The greatest number of connections that at least two have served.
    private var greatestColumn: Int? {
        comparison.connections.indices.filter { medians($0).count > 1 }
            .max { comparison.connections[$0] < comparison.connections[$1] }
    }

    private func medians(_ column: Int) -> [(name: String, median: Measurement)] {
        comparison.contenders.indices.compactMap { row in
            comparison.cell(row, column).median.map { (comparison.contenders[row].name, $0) }
        }
    }

    /// The best and the worst of the contenders that served this number of connections, and their ratio.
    private func extremes(
        _ column: Int, _ figure: Figure
    ) -> (best: String, worst: String, bestValue: Double, worstValue: Double)? {
        let values = medians(column).map { ($0.name, figure.value($0.median, comparison.connections[column])) }
            .sorted { figure.isBetterHigh ? $0.1 > $1.1 : $0.1 < $1.1 }
        guard let first = values.first, let last = values.last, values.count > 1 else { return nil }
        return (first.0, last.0, first.1, last.1)
    }

    /// As in `With 1,000 connections`.
    private func circumstances(_ column: Int) -> String {
        let count = comparison.connections[column]
        return "With \(count.grouped) \(count == 1 ? "connection" : "connections")"
    }

    private func fastest(_ column: Int) -> String? {
        guard let found = extremes(column, .rate), found.worstValue > 0 else { return nil }
        let all = column == commonColumn && column != greatestColumn ? ", the most that all can serve here" : ""
        return """
            \(circumstances(column))\(all), \(found.best) answers most: \(Figure.rate.text(found.bestValue)) messages a second, \
            \((found.bestValue / found.worstValue).short) times as many as \(found.worst).
            """
    }

    private var cheapest: String? {
        guard let column = greatestColumn, let found = extremes(column, .serverTime), found.bestValue > 0 else {
            return nil
        }
        return """
            \(circumstances(column)), a message costs least processor time with \(found.best), \
            \(found.bestValue.short) millionths of a second, and most with \(found.worst), \(found.worstValue.short).
            """
    }

    private var smallest: String? {
        guard let column = greatestColumn, let found = extremes(column, .memoryPerConnection), found.bestValue > 0
        else {
            return nil
        }
        return """
            \(circumstances(column)), a connection takes least memory with \(found.best), \(shortBytes(found.bestValue)), and most \
            with \(found.worst), \(shortBytes(found.worstValue)): \((found.worstValue / found.bestValue).short) times as much.
            """
    }

    private var limits: String? {
        guard
            let column = comparison.connections.indices.max(by: {
                comparison.connections[$0] < comparison.connections[$1]
            })
        else { return nil }
        let names = comparison.contenders.indices.filter { comparison.cell($0, column).reason != nil }
            .map { comparison.contenders[$0].name }
        guard !names.isEmpty else { return nil }
        let count = comparison.connections[column].grouped
        return
            "Not able to serve \(count) connections at once, as they were started here: \(names.joined(separator: "; "))."
    }
}
