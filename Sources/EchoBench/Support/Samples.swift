import GreenNet

/// What was measured: a row for each server and round, in one group (of loads, say) or several.  Each row goes to a file as CSV at once.
final class Samples {
    struct Row {
        fileprivate let columns: [String: Int]
        let round: Int
        let values: [Double]
        /// What is no number.
        let note: String

        subscript(column: String) -> Double { values[columns[column]!] }
    }

    private let columns: [String: Int]
    private let file: TextFile?
    private var rows: [String: [String: [Row]]] = [:]
    private var names: [String: [String]] = [:]
    /// In the order of their first rows.
    private(set) var groups: [String] = []

    /// Without a path, the rows are kept in memory only.
    init(_ path: String?, columns: [String]) throws {
        self.columns = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($1, $0) })
        file = try path.map { try TextFile(creating: $0) }
        try file?.write((["group", "round", "server"] + columns + ["note"]).joined(separator: ",") + "\n")
    }

    func add(_ name: String, round: Int, group: String = "", note: String = "", _ values: [Double]) throws {
        require(values.count == columns.count, "\(values.count) values for \(columns.count) columns")
        if rows[group] == nil { groups.append(group) }
        if rows[group]?[name] == nil { names[group, default: []].append(name) }
        let row = Row(columns: columns, round: round, values: values, note: note)
        rows[group, default: [:]][name, default: []].append(row)
        try file?.write(line(name, group, row))
    }

    private func line(_ name: String, _ group: String, _ row: Row) -> String {
        let texts = [group, "\(row.round)", "\"\(name)\""] + row.values.map { "\($0)" } + ["\"\(row.note)\""]
        return texts.joined(separator: ",") + "\n"
    }

    /// The servers of a group, in the order of their first rows.
    func servers(in group: String = "") -> [String] { names[group] ?? [] }

    func rows(of name: String, in group: String = "") -> [Row] { rows[group]?[name] ?? [] }

    var all: [Row] { rows.values.flatMap { $0.values.flatMap { $0 } } }

    /// Of one figure over the rounds.
    func spread(of name: String, in group: String = "", _ figure: (Row) -> Double) -> Spread {
        Spread(rows(of: name, in: group).map(figure))
    }

    func median(of name: String, in group: String = "", _ column: String) -> Double {
        spread(of: name, in: group) { $0[column] }.median
    }

    /// Of the ratios of a figure to that of `base` in the same round.  A round in which one of the two is missing or 0 does not count.
    func ratio(of name: String, to base: String, in group: String = "", _ figure: (Row) -> Double) -> Spread {
        let bases = Dictionary(uniqueKeysWithValues: rows(of: base, in: group).map { ($0.round, figure($0)) })
        return Spread(
            rows(of: name, in: group).compactMap { row in
                guard let base = bases[row.round], base != 0 else { return nil }
                return figure(row) / base
            })
    }
}
