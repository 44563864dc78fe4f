import GreenNet
import Histogram

/// Lengths of time in nanoseconds, to three significant digits, up to an hour.
struct Latencies: Equatable, Sendable {
    private var histogram = Histogram<UInt64>(highestTrackableValue: Latencies.longest)
    private static let longest: UInt64 = 3_600_000_000_000

    @inline(__always)
    mutating func record(_ nanoseconds: Int64) {
        histogram.record(min(UInt64(max(0, nanoseconds)), Latencies.longest))
    }

    mutating func add(_ others: Latencies) { histogram.add(others.histogram) }

    var count: Int { Int(histogram.totalCount) }
    var mean: Double { histogram.mean }
    var deviation: Double { histogram.stdDeviation }
    var least: Double { count == 0 ? 0 : Double(histogram.min) }
    var greatest: Double { Double(histogram.maxRecorded) }
    /// In nanoseconds; 0 where there is none.
    func percentile(_ share: Double) -> Double {
        // Equivalent values reach a little above the greatest one that came.
        min(Double(histogram.valueAtPercentile(share)), greatest)
    }

    static let percentiles = [50, 75, 90, 99, 99.9, 99.99]

    static func == (left: Latencies, right: Latencies) -> Bool { left.text == right.text }
}

// MARK: As a word, for another process

extension Latencies {
    /// `value:count` for each value that there is.
    var text: String {
        // The greatest one exactly: it is what `max` shows.
        let values = histogram.recordedValues().map { "\(min($0.value, histogram.maxRecorded)):\($0.count)" }
        return values.joined(separator: ",")
    }

    mutating func add(text: String) {
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: ":").compactMap { UInt64($0) }
            if parts.count == 2 { histogram.record(parts[0], count: parts[1]) }
        }
    }
}
