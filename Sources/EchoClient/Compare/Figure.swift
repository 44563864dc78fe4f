import ProgramKit

/// A figure of the comparison, as tables and plots name and show it.
struct Figure: Sendable {
    let title: String
    /// For the head of a column.
    let short: String
    /// For readers who are new to the subject.
    let explanation: String
    let isBetterHigh: Bool
    /// Its plot is in powers of ten, times this; nil where it begins at 0.
    var logarithmicUnit: Double?
    /// The best one in a table is shown as that.
    var marksBest = true
    let value: @Sendable (Measurement, _ connections: Int) -> Double
    let text: @Sendable (Double) -> String

    static let rate = Figure(
        title: "Messages a second", short: "messages/s",
        explanation:
            "Each connection sends a message, waits for the answer, and sends the next. All connections together.",
        isBetterHigh: true, value: { measurement, _ in measurement.rate }, text: { Int($0.rounded()).grouped })

    static let p50 = latency("Latency, median", "p50", "Half of all messages were answered within this time.") {
        $0.p50
    }
    static let p99 = latency("Latency, 99th percentile", "p99", "One message in a hundred took longer.") { $0.p99 }
    static let p999 = latency("Latency, 99.9th percentile", "p99.9", "One in a thousand took longer.") { $0.p999 }

    private static func latency(
        _ title: String, _ short: String, _ explanation: String, _ value: @escaping @Sendable (Measurement) -> Double
    ) -> Figure {
        Figure(
            title: title, short: short, explanation: explanation, isBetterHigh: false, logarithmicUnit: 1,
            value: { measurement, _ in value(measurement) }, text: { shortTime($0 * 1e3) })
    }

    static let serverTime = Figure(
        title: "Processor time", short: "CPU s/million",
        explanation:
            "Seconds of processor time that the server used for a million messages, in its own code and in the kernel.",
        isBetterHigh: false, value: { measurement, _ in measurement.serverTime }, text: { $0.short })

    static let memory = Figure(
        title: "Memory", short: "memory",
        explanation: """
            What all the server's processes hold with these connections open: resident pages, shared ones counted once, and page tables.
            """,
        isBetterHigh: false, logarithmicUnit: 1_048_576, value: { measurement, _ in measurement.memory },
        text: { shortBytes($0) })

    static let memoryPerConnection = Figure(
        title: "Memory of a connection", short: "memory/conn.",
        explanation: """
            How much more the server holds with these connections than without any, divided by their number; "-" where that is too little to \
            be measured.
            """,
        isBetterHigh: false,
        // Of a few, the noise is larger than what they take.
        value: { $1 < 10 ? .nan : $0.memoryPerConnection($1) }, text: { $0 >= 1 ? shortBytes($0) : "-" })

    static let threads = Figure(
        title: "OS threads", short: "threads", explanation: "Of all the server's processes.", isBetterHigh: false,
        marksBest: false,
        value: { measurement, _ in measurement.threads }, text: { Int($0).grouped })

    static let processes = Figure(
        title: "Processes", short: "processes", explanation: "Of the server.", isBetterHigh: false, marksBest: false,
        value: { measurement, _ in measurement.processes }, text: { Int($0).grouped })

    static let columns = [rate, p50, p99, p999, serverTime, memoryPerConnection, threads, processes]
    static let plots = [rate, p50, p99, p999, serverTime, memory]
}

extension Figure {
    /// For the ticks of an axis: `10 us`, not `10.0 us`.
    func tick(_ value: Double) -> String {
        var words = text(value).split(separator: " ").map(String.init)
        while words[0].contains("."), words[0].last == "0" || words[0].last == "." {
            let wasPoint = words[0].removeLast() == "."
            if wasPoint { break }
        }
        return words.joined(separator: " ")
    }
}

/// As in `4.4 KiB`.
func shortBytes(_ bytes: Double) -> String {
    switch bytes {
    case ..<1024: "\(bytes.fixed(0)) B"
    case ..<1_048_576: "\((bytes / 1024).short) KiB"
    case ..<1_073_741_824: "\((bytes / 1_048_576).short) MiB"
    default: "\((bytes / 1_073_741_824).short) GiB"
    }
}
