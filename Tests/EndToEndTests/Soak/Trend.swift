/// Where a row of measurements goes, whatever they do on the way: by the median of the slopes between each two of them (Theil and Sen).
/// Even where a quarter of them are far off, that hardly moves.
struct Trend {
    /// Per second.
    let slope: Double
    /// From the first measurement to the last.
    let seconds: Double

    /// Nil for fewer than two, which have none.
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

    /// By how much it has risen in all.
    var growth: Double { slope * seconds }
}
