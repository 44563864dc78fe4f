/// A kind of number that an option may have: how it is read, and how it is shown.
package protocol OptionNumber: Comparable, Sendable {
    /// Nil for what is no such number: nothing, NaN, infinity, hexadecimal digits, more than the type holds.
    init?(optionText: String)
    var optionText: String { get }
    static var isWhole: Bool { get }
}

extension Int: OptionNumber {
    package init?(optionText: String) { self.init(optionText) }
    package var optionText: String { "\(self)" }
    package static var isWhole: Bool { true }
}

extension Double: OptionNumber {
    package init?(optionText: String) {
        // Else "0x1p3", "nan" and "infinity" were numbers too.
        guard optionText.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let number = Double(optionText),
            number.isFinite
        else { return nil }
        self = number
    }

    package var optionText: String {
        let text = "\(self)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    package static var isWhole: Bool { false }
}

/// In seconds, fractions allowed.
extension Duration: OptionNumber {
    package init?(optionText: String) {
        guard let seconds = Double(optionText: optionText), seconds.magnitude < Duration.mostSeconds else { return nil }
        // In whole nanoseconds, so that 0.3 is shown as it was typed.
        let nanoseconds = Int64((seconds * 1e9).rounded())
        // Something is never taken for nothing, which often has a meaning of its own.
        self = .nanoseconds(nanoseconds == 0 && seconds != 0 ? (seconds < 0 ? -1 : 1) : nanoseconds)
    }

    /// 285 years: nanoseconds of more than 292 don't fit into an `Int64`.
    private static let mostSeconds = 9e9

    package var optionText: String {
        let (seconds, attoseconds) = components
        return attoseconds == 0 ? "\(seconds)" : "\(Double(seconds) + Double(attoseconds) / 1e18)"
    }

    package static var isWhole: Bool { false }
}
