import GreenNet

extension Double {
    /// With `digits` digits after the point.
    package func fixed(_ digits: Int) -> String {
        guard isFinite, magnitude < 1e15 else { return "\(self)" }
        let scale = (0..<digits).reduce(1) { product, _ in product * 10 }
        let scaled = Int((magnitude * Double(scale)).rounded())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + "\(scaled)" }
        return sign + "\(scaled / scale)." + "\(scaled % scale)".leftPadded(to: digits, with: "0")
    }

    /// With about three significant digits.
    package var short: String {
        switch magnitude {
        case 100...: fixed(0)
        case 10..<100: fixed(1)
        default: fixed(2)
        }
    }
}

extension Int {
    /// As in `1,234,567`.
    package var grouped: String {
        let digits = "\(magnitude)"
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return (self < 0 ? "-" : "") + text
    }
}

extension String {
    package func leftPadded(to width: Int, with filler: Character = " ") -> String {
        String(repeating: filler, count: max(0, width - count)) + self
    }

    package func rightPadded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

extension Duration {
    package var inSeconds: Double { Double(nanoseconds) / 1e9 }

    /// As in `0.214 ms`.
    package var inMilliseconds: String {
        let microseconds = nanoseconds / 1000
        return "\(microseconds / 1000).\("\(microseconds % 1000)".leftPadded(to: 3, with: "0")) ms"
    }
}

/// A length of time in nanoseconds, in the unit that suits it: `830 ns`, `41.2 us`, `2.00 ms`, `1.50 s`.
package func shortTime(_ nanoseconds: Double) -> String {
    switch nanoseconds {
    case ..<1e3: "\(nanoseconds.fixed(0)) ns"
    case ..<1e6: "\((nanoseconds / 1e3).short) us"
    case ..<1e9: "\((nanoseconds / 1e6).short) ms"
    default: "\((nanoseconds / 1e9).short) s"
    }
}
