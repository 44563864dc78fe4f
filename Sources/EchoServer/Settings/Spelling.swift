/// Finds the known name that was probably meant by an unknown name.
enum Spelling {
    /// The name of `names` with the fewest changes to `name`; nil where each has more than `mostChanges`, or as many as the name has bytes.
    static func nearest(to name: String, among names: some Sequence<String>) -> String? {
        let found = names.map { (name: $0, changes: changes(from: Array(name.utf8), to: Array($0.utf8))) }
            .filter { $0.changes <= mostChanges && $0.changes < $0.name.utf8.count }
            .min { ($0.changes, $0.name) < ($1.changes, $1.name) }
        return found?.name
    }

    private static let mostChanges = 3

    /// How many bytes have to be inserted, deleted or replaced (Levenshtein's distance).
    private static func changes(from one: [UInt8], to other: [UInt8]) -> Int {
        var row = Array(0...other.count)
        for (index, byte) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in other.indices {
                let replaced = diagonal + (byte == other[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[other.count]
    }
}
