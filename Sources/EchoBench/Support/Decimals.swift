extension Double {
    /// With `count` digits after the point; "-" where it is no number.
    func decimals(_ count: Int) -> String {
        guard isFinite, magnitude < 1e15 else { return "-" }
        let scale = (0..<count).reduce(1) { product, _ in product * 10 }
        let scaled = Int((magnitude * Double(scale)).rounded())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard count > 0 else { return "\(sign)\(scaled)" }
        let fraction = "\(scaled % scale)"
        return "\(sign)\(scaled / scale)." + String(repeating: "0", count: count - fraction.count) + fraction
    }
}
