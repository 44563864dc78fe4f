extension Duration {
    /// For people: `10 seconds`, `0.3 seconds`.  Rounded to milliseconds; a duration under one millisecond, to nanoseconds.
    package var text: String {
        let exact = nanoseconds.magnitude
        let unit: UInt64 = exact < 1_000_000 ? 1 : 1_000_000
        let rounded = (exact + unit / 2) / unit * unit
        var digits = String(rounded % 1_000_000_000)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        let number = "\(rounded / 1_000_000_000)" + (digits.isEmpty ? "" : ".\(digits)")
        return (self < .zero ? "-" : "") + number + (number == "1" ? " second" : " seconds")
    }
}
