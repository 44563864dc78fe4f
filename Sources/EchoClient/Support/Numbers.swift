import GreenNet

extension Double {
    /// With so many digits after the point.
    func fixed(_ digits: Int) -> String {
        guard isFinite, magnitude < 1e15 else { return "\(self)" }
        let scale = (0..<digits).reduce(1) { product, _ in product * 10 }
        let scaled = Int((magnitude * Double(scale)).rounded())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + "\(scaled)" }
        return sign + "\(scaled / scale)." + "\(scaled % scale)".leftPadded(to: digits, with: "0")
    }

    /// With about three significant digits.
    var short: String {
        switch magnitude {
        case 100...: fixed(0)
        case 10..<100: fixed(1)
        default: fixed(2)
        }
    }
}

extension Int {
    /// As in `1,234,567`.
    var grouped: String {
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
    func leftPadded(to width: Int, with filler: Character = " ") -> String {
        String(repeating: filler, count: max(0, width - count)) + self
    }

    func rightPadded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

extension Duration {
    var inSeconds: Double { Double(nanoseconds) / 1e9 }
}

/// A length of time in nanoseconds, in the unit that suits it: `830 ns`, `41.2 us`, `2.00 ms`, `1.50 s`.
func shortTime(_ nanoseconds: Double) -> String {
    switch nanoseconds {
    case ..<1e3: "\(nanoseconds.fixed(0)) ns"
    case ..<1e6: "\((nanoseconds / 1e3).short) us"
    case ..<1e9: "\((nanoseconds / 1e6).short) ms"
    default: "\((nanoseconds / 1e9).short) s"
    }
}
