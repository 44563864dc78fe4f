import GreenNet
import ProgramKit

/// What a load has shown, for people and for programs.
struct LoadReport {
    private let plan: LoadPlan
    private let processes: Int
    private let result: LoadResult
    private let isInterrupted: Bool

    init(_ plan: LoadPlan, processes: Int, _ result: LoadResult, isInterrupted: Bool) {
        (self.plan, self.processes, self.result, self.isInterrupted) = (plan, processes, result, isInterrupted)
    }

    // MARK: For people

    var text: String {
        var lines = ["\(plan.target), \(plan.description)" + (isInterrupted ? ", interrupted" : "")]
        lines.append(
            """
            \(result.messages.grouped) messages in \(result.elapsed.inSeconds.fixed(2)) s: \
            \(Int(result.messagesPerSecond).grouped) a second, \(result.mebibytesPerSecond.short) MiB/s each way; every byte checked
            """)
        if result.latencies.count > 0 { lines += latencyLines }
        if let longest = result.longest { lines.append(text(of: longest)) }
        if result.connecting.count > 0 {
            lines.append("connecting  " + LoadReport.summary(of: result.connecting, [50, 99]))
        }
        if result.lateness.count > 0 {
            lines.append(
                "sent late by  " + LoadReport.summary(of: result.lateness, [50, 99]) + " (the client's own share)")
        }
        if result.inFlight.messages > 0 { lines.append(text(of: result.inFlight)) }
        if let time = result.processorTimePerMessage {
            lines.append("client: \(processesText), \((time * 1e6).fixed(2)) us of processor time a message")
        }
        return (lines + failureLines).map { $0 + "\n" }.joined()
    }

    private var processesText: String {
        let threads = plan.threads == 1 ? "" : " of \(plan.threads) OS threads"
        return "\(processes) \(processes == 1 ? "process" : "processes")\(threads)"
    }

    private var latencyLines: [String] {
        let latencies = result.latencies
        let from =
            plan.rate != nil
            ? " from the intended moment" : plan.mode == .churn ? " of connect, message and answer" : ""
        let head = "latency\(from): mean \(shortTime(latencies.mean)), deviation \(shortTime(latencies.deviation))"
        let rows = Latencies.percentiles.map { share in
            "  \(LoadReport.name(of: share).rightPadded(to: 8))\(shortTime(latencies.percentile(share)).leftPadded(to: 10))"
        }
        return [head] + rows + ["  max     \(shortTime(latencies.greatest).leftPadded(to: 10))"]
    }

    private func text(of wait: LoadResult.LongestWait) -> String {
        """
        longest wait: \(shortTime(Double(wait.wait))), on connection \(wait.connection), for message \(wait.message), \
        asked \((Double(wait.asked) / 1e9).fixed(3)) s after the start
        """
    }

    private func text(of flight: LoadResult.InFlight) -> String {
        """
        in flight at the end: \(flight.messages.grouped) \(flight.messages == 1 ? "message" : "messages"), \
        \(flight.bytes.grouped) bytes of the answers had come; nothing for \(shortTime(Double(flight.silence))) at the longest
        """
    }

    /// Why the load counts as failed though no connection has; nil where it does not.
    var complaint: String? {
        guard result.messages == 0, result.failures.total == 0, !isInterrupted else { return nil }
        let time = "\(result.elapsed.inSeconds.fixed(2)) s"
        return result.inFlight.bytes > 0
            ? "too slow: \(result.inFlight.bytes.grouped) bytes came in \(time), and no message was answered in full"
            : "no message was answered in \(time)"
    }

    private var failureLines: [String] {
        guard result.failures.total > 0 else { return [] }
        let counts = LoadFailure.Kind.allCases.compactMap { kind in
            result.failures.counts[kind].map { "\($0.grouped) \(kind.rawValue)" }
        }
        let opened = "\(result.opened.grouped) \(result.opened == 1 ? "connection was" : "connections were") opened"
        return ["FAILED: \(counts.joined(separator: ", ")) (\(opened))"] + result.failures.first.map { "  \($0.text)" }
    }

    private static func summary(of latencies: Latencies, _ shares: [Double]) -> String {
        let parts = shares.map { "\(name(of: $0)) \(shortTime(latencies.percentile($0)))" }
        return (parts + ["max \(shortTime(latencies.greatest))"]).joined(separator: ", ")
    }

    /// As in `p99.9`.
    static func name(of share: Double) -> String {
        share == share.rounded() ? "p\(Int(share))" : "p\(share)"
    }

    // MARK: For programs

    /// Times are in microseconds, unless the name says otherwise.
    var json: JSON {
        .object([
            ("target", .string("\(plan.target)")), ("mode", .string(plan.mode.rawValue)),
            ("connections", .integer(plan.connections)), ("size", .integer(plan.size)), ("depth", .integer(plan.depth)),
            ("rate", .optional(plan.rate)), ("threads", .integer(plan.threads)), ("processes", .integer(processes)),
            ("interrupted", .bool(isInterrupted)), ("seconds", .number(result.elapsed.inSeconds)),
            ("opened", .integer(result.opened)), ("messages", .integer(result.messages)),
            ("bytes", .integer(result.bytes)),
            ("messages_per_second", .number(result.messagesPerSecond)),
            ("mebibytes_per_second", .number(result.mebibytesPerSecond)),
            ("latency_us", LoadReport.json(of: result.latencies)),
            ("connect_us", LoadReport.json(of: result.connecting)),
            ("lateness_us", LoadReport.json(of: result.lateness)), ("longest_wait", longestJSON),
            ("client_cpu_us_per_message", .optional(result.processorTimePerMessage.map { $0 * 1e6 })),
            ("in_flight", inFlightJSON), ("failures", failuresJSON),
        ])
    }

    static func json(of latencies: Latencies) -> JSON {
        guard latencies.count > 0 else { return .null }
        let percentiles = Latencies.percentiles.map { (name(of: $0), JSON.number(latencies.percentile($0) / 1e3)) }
        return .object(
            [
                ("mean", .number(latencies.mean / 1e3)), ("deviation", .number(latencies.deviation / 1e3)),
                ("min", .number(latencies.least / 1e3)),
            ]
                + percentiles + [("max", .number(latencies.greatest / 1e3))])
    }

    private var longestJSON: JSON {
        guard let longest = result.longest else { return .null }
        return .object([
            ("us", .number(Double(longest.wait) / 1e3)), ("connection", .integer(longest.connection)),
            ("message", .integer(longest.message)), ("asked_after_seconds", .number(Double(longest.asked) / 1e9)),
        ])
    }

    private var inFlightJSON: JSON {
        .object([
            ("messages", .integer(result.inFlight.messages)), ("answer_bytes", .integer(result.inFlight.bytes)),
            ("longest_silence_us", .number(Double(result.inFlight.silence) / 1e3)),
        ])
    }

    private var failuresJSON: JSON {
        let counts = LoadFailure.Kind.allCases.compactMap { kind in
            result.failures.counts[kind].map { (kind.rawValue, JSON.integer($0)) }
        }
        return .object([
            ("total", .integer(result.failures.total)), ("counts", .object(counts)),
            ("first", .array(result.failures.first.map { .string($0.text) })),
        ])
    }

    /// A line of names and a line of values.
    var csv: String {
        let latencies = result.latencies
        var columns = [
            ("mode", plan.mode.rawValue), ("connections", "\(plan.connections)"), ("size", "\(plan.size)"),
            ("depth", "\(plan.depth)"), ("rate", plan.rate.map { "\($0)" } ?? ""),
            ("seconds", result.elapsed.inSeconds.fixed(3)), ("messages", "\(result.messages)"),
            ("bytes", "\(result.bytes)"),
            ("messages_per_second", result.messagesPerSecond.fixed(1)), ("mean_us", (latencies.mean / 1e3).fixed(1)),
        ]
        columns += Latencies.percentiles.map { share in
            let name = LoadReport.name(of: share).map { $0 == "." ? "_" : $0 }
            return (String(name) + "_us", (latencies.percentile(share) / 1e3).fixed(1))
        }
        columns += [
            ("max_us", (latencies.greatest / 1e3).fixed(1)), ("failures", "\(result.failures.total)"),
            ("client_cpu_us", result.processorTimePerMessage.map { ($0 * 1e6).fixed(3) } ?? ""),
            ("interrupted", "\(isInterrupted)"),
        ]
        return columns.map(\.0).joined(separator: ",") + "\n" + columns.map(\.1).joined(separator: ",") + "\n"
    }
}

extension LoadPlan: CustomStringConvertible {
    /// As in `steady, 50 connections, 64 bytes, depth 1`.
    var description: String {
        let loop = rate.map { ", \($0.short) messages/s wanted" } ?? (mode == .steady ? ", depth \(depth)" : "")
        return "\(mode.rawValue), \(connections.grouped) connections, \(size.grouped) bytes\(loop)"
    }
}
