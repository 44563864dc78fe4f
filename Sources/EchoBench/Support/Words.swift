extension String {
    /// Separated by blanks.
    var words: [String] { split(whereSeparator: \.isWhitespace).map(String.init) }

    var lines: [Substring] { split(separator: "\n") }

    /// The number directly after the first `words` in it; nil where there is none.
    func number(after words: String) -> Int? {
        guard let range = firstRange(of: words) else { return nil }
        return Int(self[range.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }
}

/// The number after `name` at the beginning of a line of `text`, as /proc has it: `VmRSS:  123 kB`.
func field(_ name: String, of text: String) -> Int? {
    let line = text.lines.first { $0.hasPrefix("\(name):") }
    return line.flatMap { String($0).words.dropFirst().first }.flatMap { Int($0) }
}
