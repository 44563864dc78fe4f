/// The part of a document that is written by a program: between two lines that say so.
enum FigureBlock {
    static let begin = "<!-- figures: begin, written by make bench -->"
    static let end = "<!-- figures: end -->"

    /// `document` with `figures` in place of what was between the lines.  Throws where it has not each of them once, in this order.
    static func replace(in document: String, with figures: String) throws(BenchFailure) -> String {
        let lines = document.split(separator: "\n", omittingEmptySubsequences: false)
        let places = [begin, end].map { mark in lines.indices.filter { lines[$0] == mark } }
        guard places.allSatisfy({ $0.count == 1 }), places[0][0] < places[1][0] else {
            throw BenchFailure("the document has not one line \"\(begin)\" before one line \"\(end)\"")
        }
        let block = ["", figures.trimmingNewlines, ""].map { Substring($0) }
        return (lines[...places[0][0]] + block + lines[places[1][0]...]).joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmingNewlines: String {
        let start = drop { $0 == "\n" }
        return String(start.reversed().drop { $0 == "\n" }.reversed())
    }
}
