/// An option that has a number, and the range of that number.
package struct NumericOption<Number: OptionNumber>: Sendable {
    /// Without dashes, such as `size`.
    package let name: String
    package let range: ClosedRange<Number>
    private let unit: String
    /// Means "no limit" or "at once", and is below the range.
    private let zero: Number?
    /// An argument, which is given without its name.
    private let isArgument: Bool

    init(
        _ name: String, _ range: ClosedRange<Number>, _ unit: String = "", orZero zero: Number? = nil,
        isArgument: Bool = false
    ) {
        (self.name, self.range, self.unit, self.zero, self.isArgument) = (name, range, unit, zero, isArgument)
    }

    private var title: String { isArgument ? "<\(name)>" : "--\(name)" }

    /// As in `1 to 1024`.
    package var span: String { "\(range.lowerBound.optionText) to \(range.upperBound.optionText)" }

    /// As in `a whole number from 1 to 16777216 bytes`, or `a number from 0.001 to 60 seconds, or 0`.
    package var rule: String { (Number.isWhole ? "a whole number " : "a number ") + limits }

    private var limits: String {
        "from \(span)" + (unit.isEmpty ? "" : " \(unit)") + (zero.map { ", or \($0.optionText)" } ?? "")
    }

    /// Nil where `text` is no number, or outside of the range.
    package func value(of text: String) -> Number? {
        guard let number = Number(optionText: text), range.contains(number) || number == zero else { return nil }
        return number
    }

    /// Numbers separated by commas.  Throws `OptionComplaint` about the first that is invalid.
    package func values(of text: String) throws(OptionComplaint) -> [Number] {
        var values: [Number] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let value = value(of: String(part)) else {
                throw complaint(about: String(part), of: "each of \(title)")
            }
            values.append(value)
        }
        return values
    }

    /// Throws `OptionComplaint`: which option, what it takes, and what it was given.
    package func checked(_ text: String) throws(OptionComplaint) -> Number {
        guard let value = value(of: text) else { throw complaint(about: text, of: title) }
        return value
    }

    private func complaint(about text: String, of subject: String) -> OptionComplaint {
        OptionComplaint("\(subject) must be \(Number.isWhole ? "a whole number " : "")\(limits), not \(shown(text))")
    }
}

/// Why an option's value is refused, in a sentence without a full stop.
package struct OptionComplaint: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// As it was typed, or in quotes where that could be misread or would do something to a terminal.
private func shown(_ text: String) -> String {
    let isPlain = !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    let longest = 60
    let start = text.count > longest ? text.prefix(longest) + "..." : Substring(text)
    return isPlain ? String(start) : String(start).debugDescription
}
