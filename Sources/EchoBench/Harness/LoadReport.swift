/// What echo-load prints at its end: `messages=123 seconds=1.000 ...`.
struct LoadReport: Equatable {
    let messages: Double
    let seconds: Double
    /// Processor time of the generator, in seconds.
    let cpuSeconds: Double
    let p50: Double
    /// In microseconds, as p50.
    let p99: Double

    init(messages: Double, seconds: Double, cpuSeconds: Double, p50: Double, p99: Double) {
        (self.messages, self.seconds, self.cpuSeconds, self.p50, self.p99) = (messages, seconds, cpuSeconds, p50, p99)
    }

    /// Throws `BenchFailure` where a figure is missing, or no message was answered.
    init(parsing line: String) throws(BenchFailure) {
        let figures = Figures(line)
        self.init(
            messages: try figures["messages"], seconds: try figures["seconds"],
            cpuSeconds: try figures["cpu_seconds"], p50: try figures["p50_us"], p99: try figures["p99_us"])
    }

    var rate: Double { messages / seconds }
}

/// A line of `key=number`, with blanks between.
struct Figures {
    private let line: String
    private var numbers: [String: Double] = [:]

    init(_ line: String) {
        self.line = line
        for word in line.words {
            let parts = word.split(separator: "=", maxSplits: 1)
            if parts.count == 2, let number = Double(parts[1]) { numbers[String(parts[0])] = number }
        }
    }

    subscript(key: String) -> Double {
        get throws(BenchFailure) {
            guard let number = numbers[key] else { throw BenchFailure("no \(key) in: \(line)") }
            return number
        }
    }
}
