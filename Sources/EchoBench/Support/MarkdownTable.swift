import GreenNet

/// A table in Markdown.  Numbers stand at the right of their columns, names at the left.
struct MarkdownTable {
    enum Column {
        case name(String)
        case number(String)
    }

    private let columns: [Column]
    private var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// With `name` as the only column of names, which comes first.
    init(_ name: String, _ numbers: [String]) { self.init([.name(name)] + numbers.map { .number($0) }) }

    mutating func add(_ cells: String...) { add(cells) }

    mutating func add(_ cells: [String]) {
        require(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
        rows.append(cells)
    }

    /// Without a newline at its end.
    var text: String {
        let titles = columns.map { column in
            switch column {
            case .name(let title), .number(let title): title
            }
        }
        let rules = columns.map { column in
            switch column {
            case .name: "---"
            case .number: "---:"
            }
        }
        return ([titles, rules] + rows).map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
    }
}
