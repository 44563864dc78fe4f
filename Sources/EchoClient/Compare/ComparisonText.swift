import GreenNet
import ProgramKit

extension Comparison {
    /// A block for each number of connections.
    var table: String {
        connections.indices.map { column in
            "\(title(column))\n" + TextTable.aligned(rows(column)).map { "  \($0)\n" }.joined() + reasons(column)
        }.joined(separator: "\n")
    }

    /// For a README: a table for each of the figures that matter most, with a column for each number of connections.
    func markdown(command: String) -> String {
        let source =
            "`\(command)`, medians of \(rounds) \(rounds == 1 ? "round" : "rounds"), on \(Machine.description):\n"
        let figures = [Figure.rate, .p99, .serverTime, .memoryPerConnection].map { figure in
            "\(figure.title) (\(figure.isBetterHigh ? "more" : "less") is better). \(figure.explanation)\n\n"
                + TextTable.markdown(rows(figure))
        }
        return ([source] + figures + [markdownReasons]).filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private func rows(_ figure: Figure) -> [[String]] {
        let head = ["connections"] + connections.map(\.grouped)
        return [head]
            + contenders.indices.map { row in
                [contenders[row].name]
                    + connections.indices.map { column in
                        cell(row, column).median.map { figure.text(figure.value($0, connections[column])) } ?? "can't"
                    }
            }
    }

    private var markdownReasons: String {
        contenders.indices.flatMap { row -> [String] in
            let reasons = connections.indices.map { cell(row, $0).reason }
            return Set(reasons.compactMap { $0 }).sorted().map { reason in
                let counts = connections.indices.filter { reasons[$0] == reason }.map { connections[$0].grouped }
                return "- \(contenders[row].name) with \(counts.joined(separator: "; ")) connections: \(reason)\n"
            }
        }.joined()
    }

    private func title(_ column: Int) -> String {
        "\(connections[column].grouped) \(connections[column] == 1 ? "connection" : "connections")"
    }

    private func rows(_ column: Int) -> [[String]] {
        let head = ["model"] + Figure.columns.map(\.short)
        return [head]
            + contenders.indices.compactMap { row in
                guard let median = cell(row, column).median else { return nil }
                let values = Figure.columns.map { $0.text($0.value(median, connections[column])) }
                return [contenders[row].name] + values
            }
    }

    private func reasons(_ column: Int) -> String {
        contenders.indices.compactMap { row in
            cell(row, column).reason.map { "  \(contenders[row].name) can't: \($0)\n" }
        }.joined()
    }

    var json: JSON {
        .object([
            ("machine", .object(Machine.facts.map { ($0.name, .string($0.value)) })),
            ("rounds", .integer(rounds)), ("size", .integer(load.size)), ("depth", .integer(load.depth)),
            ("seconds", .optional(load.duration?.inSeconds)),
            ("servers", .array(contenders.indices.map { row in json(row) })),
        ])
    }

    private func json(_ row: Int) -> JSON {
        let contender = contenders[row]
        let loads = connections.indices.map { column -> JSON in
            let count = connections[column]
            let facts: [(String, JSON)] =
                switch cell(row, column) {
                case .impossible(let reason): [("impossible", .string(reason))]
                case .measured(let rounds):
                    [
                        ("median", Measurement.median(of: rounds).json(count)),
                        ("rounds", .array(rounds.map { $0.json(count) })),
                    ]
                }
            return .object([("connections", .integer(count))] + facts)
        }
        return .object([
            ("name", .string(contender.name)), ("meaning", .string(contender.meaning)),
            ("command", .string(contender.command.joined(separator: " "))), ("loads", .array(loads)),
        ])
    }
}

/// Rows of text, the first of which is the head.
enum TextTable {
    /// The first column to the left, the others to the right.
    static func aligned(_ rows: [[String]]) -> [String] {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
        return rows.map { row in
            row.indices.map { column in
                column == 0 ? row[0].rightPadded(to: widths[0]) : row[column].leftPadded(to: widths[column] + 2)
            }.joined()
        }
    }

    static func markdown(_ rows: [[String]]) -> String {
        let rule = ["---"] + rows[0].dropFirst().map { _ in "---:" }
        let lines = [rows[0], rule] + rows.dropFirst()
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n") + "\n"
    }
}
