/// The known name that was probably meant by an unknown one.
enum Spelling {
    /// The one of `names` that takes the fewest changes, if these are few; nil where none is near.
    static func nearest(to name: String, among names: some Sequence<String>) -> String? {
        let found = names.map { (name: $0, changes: changes(from: Array(name.utf8), to: Array($0.utf8))) }
            .min { ($0.changes, $0.name) < ($1.changes, $1.name) }
        guard let found, found.changes <= mostChanges else { return nil }
        return found.name
    }

    private static let mostChanges = 3

    /// How many bytes have to be put in, taken out or replaced (Levenshtein's distance).
    private static func changes(from one: [UInt8], to other: [UInt8]) -> Int {
        var row = Array(0...other.count)
        for (index, byte) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for place in other.indices {
                let replaced = diagonal + (byte == other[place] ? 0 : 1)
                diagonal = row[place + 1]
                row[place + 1] = min(replaced, diagonal + 1, row[place] + 1)
            }
        }
        return row[other.count]
    }
}
