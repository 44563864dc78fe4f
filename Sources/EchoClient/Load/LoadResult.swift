import GreenNet
import ProgramKit

/// What came out, of one OS thread, one process or all.
struct LoadResult: Sendable {
    /// Connections that were opened while nothing was measured yet; with churn, all.
    var opened = 0
    /// Answered in full, while it was measured.
    var messages = 0
    /// Of answers, all checked.
    var bytes = 0
    /// From the first message to the last answer.
    var elapsed = Duration.zero
    /// Of the client's processes, meanwhile.
    var processorTime = Duration.zero
    var latencies = Latencies()
    var connecting = Latencies()
    /// How much later than intended the client itself has sent, with a rate.
    var lateness = Latencies()
    var longest: LongestWait?
    var failures = LoadFailures()
    var inFlight = InFlight()

    /// What was asked and not answered in full when the time was over.
    struct InFlight: Equatable, Sendable {
        var messages = 0
        /// Of their answers, those that had come.
        var bytes = 0
        /// For how long nothing had come on one of the connections, in nanoseconds.
        var silence: Int64 = 0

        mutating func add(_ other: InFlight) {
            messages += other.messages
            bytes += other.bytes
            silence = max(silence, other.silence)
        }
    }

    struct LongestWait: Equatable, Sendable {
        /// In nanoseconds.
        var wait: Int64
        var connection: Int
        var message: Int
        /// When it was asked, in nanoseconds from the start.
        var asked: Int64
    }

    mutating func add(_ other: LoadResult) {
        opened += other.opened
        messages += other.messages
        bytes += other.bytes
        elapsed = max(elapsed, other.elapsed)
        processorTime += other.processorTime
        latencies.add(other.latencies)
        connecting.add(other.connecting)
        lateness.add(other.lateness)
        note(other.longest)
        failures.add(other.failures)
        inFlight.add(other.inFlight)
    }

    mutating func note(_ wait: LongestWait?) {
        if let wait, wait.wait > longest?.wait ?? 0 { longest = wait }
    }

    var messagesPerSecond: Double { elapsed > .zero ? Double(messages) / elapsed.inSeconds : 0 }
    var mebibytesPerSecond: Double { elapsed > .zero ? Double(bytes) / elapsed.inSeconds / 1_048_576 : 0 }
    /// In seconds; nil without messages.
    var processorTimePerMessage: Double? { messages > 0 ? processorTime.inSeconds / Double(messages) : nil }
}

// MARK: As lines, for another process

extension LoadResult {
    var lines: [String] {
        var lines = [
            "opened \(opened)", "messages \(messages)", "bytes \(bytes)", "elapsed \(elapsed.nanoseconds)",
            "cpu \(processorTime.nanoseconds)", "latencies \(latencies.text)", "connecting \(connecting.text)",
            "lateness \(lateness.text)", "flight \(inFlight.messages) \(inFlight.bytes) \(inFlight.silence)",
        ]
        if let longest {
            let facts = [longest.wait, Int64(longest.connection), Int64(longest.message), longest.asked]
            lines.append("longest " + facts.map { "\($0)" }.joined(separator: " "))
        }
        lines += failures.counts.map { "count \($1) \($0.rawValue)" }
        lines += failures.first.map { "failure \($0.kind.rawValue): \($0.text)" }
        return lines
    }

    /// Takes one of `lines` in; others mean nothing to it.
    mutating func read(_ line: String) {
        let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else { return }
        let (text, number) = (parts[1], Int(parts[1]) ?? 0)
        switch parts[0] {
        case "opened": opened = number
        case "messages": messages = number
        case "bytes": bytes = number
        case "elapsed": elapsed = .nanoseconds(number)
        case "cpu": processorTime = .nanoseconds(number)
        case "latencies": latencies.add(text: text)
        case "connecting": connecting.add(text: text)
        case "lateness": lateness.add(text: text)
        case "longest": readLongest(text.split(separator: " ").compactMap { Int($0) })
        case "flight": readFlight(text.split(separator: " ").compactMap { Int($0) })
        case "count": readCount(text)
        case "failure": readFailure(text)
        default: break
        }
    }

    private mutating func readLongest(_ facts: [Int]) {
        guard facts.count == 4 else { return }
        longest = LongestWait(
            wait: Int64(facts[0]), connection: facts[1], message: facts[2], asked: Int64(facts[3]))
    }

    private mutating func readFlight(_ facts: [Int]) {
        guard facts.count == 3 else { return }
        inFlight = InFlight(messages: facts[0], bytes: facts[1], silence: Int64(facts[2]))
    }

    private mutating func readCount(_ text: String) {
        let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2, let count = Int(parts[0]), let kind = LoadFailure.Kind(rawValue: parts[1]) else {
            return
        }
        failures.add(count, of: kind)
    }

    private mutating func readFailure(_ text: String) {
        for kind in LoadFailure.Kind.allCases where text.hasPrefix("\(kind.rawValue): ") {
            failures.addText(LoadFailure(kind: kind, text: String(text.dropFirst(kind.rawValue.count + 2))))
        }
    }
}
