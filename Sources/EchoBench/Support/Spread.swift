/// The median of some values, with the least and the greatest of them.
struct Spread: Equatable {
    let median: Double
    let least: Double
    let greatest: Double

    /// NaN everywhere where there are no values.
    init(_ values: [Double]) {
        let sorted = values.sorted()
        least = sorted.first ?? .nan
        greatest = sorted.last ?? .nan
        median = sorted.isEmpty ? .nan : (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    /// As in `1.02 (0.98-1.07)`.
    func text(decimals: Int = 2) -> String {
        "\(median.decimals(decimals)) (\(least.decimals(2))-\(greatest.decimals(2)))"
    }
}
