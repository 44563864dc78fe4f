/// The trend of a row of measurements: the median of the slopes between each two of them (Theil and Sen).
/// Outliers, up to a quarter of the measurements, hardly change it.
struct Trend {
    /// Per second.
    let slope: Double
    /// From the first measurement to the last.
    let seconds: Double

    /// Nil for fewer than two measurements, which have no slope.
    init?(_ points: [(seconds: Double, value: Double)]) {
        var slopes: [Double] = []
        for (index, late) in points.enumerated() {
            for early in points[..<index] where late.seconds > early.seconds {
                slopes.append((late.value - early.value) / (late.seconds - early.seconds))
            }
        }
        guard !slopes.isEmpty else { return nil }
        slopes.sort()
        slope = (slopes[(slopes.count - 1) / 2] + slopes[slopes.count / 2]) / 2
        seconds = points.last!.seconds - points[0].seconds
    }

    /// The rise over the whole time.
    var growth: Double { slope * seconds }
}
