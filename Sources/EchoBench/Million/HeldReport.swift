import ProgramKit

/// What was seen when all connections were open.
struct HeldState {
    let opened: Int
    let openTime: Duration
    let serverBefore: MemoryUse
    let serverFirst: MemoryUse
    /// `idle` seconds later.
    let server: MemoryUse
    let idle: Double
    let client: MemoryUse
    /// What the kernel's grew by, in KiB.
    let slabs: Int
    let memoryLeft = SystemMemory.available
    let sockets = HeldState.socketText(SmallFile.text(of: "/proc/self/net/sockstat") ?? "")

    /// From /proc/net/sockstat: `TCP: inuse 4 orphan 0 tw 0 alloc 7 mem 1`.
    static func socketText(_ text: String) -> String {
        let words = (text.lines.first { $0.hasPrefix("TCP:") }).map { String($0).words } ?? []
        return words.count > 10 ? "\(words[2]) in use, \(words[10]) pages of buffers" : "-"
    }
}

/// The account of connections that were all open at once.
struct HeldReport {
    private let state: HeldState
    private let answered: Double
    private let all: (p50: Double, p99: Double)
    private let meanwhile: (p50: Double, p99: Double)

    /// `all` and `meanwhile` are what `echo-client load --json` has printed.
    init(_ state: HeldState, all: String, meanwhile: String) throws {
        self.state = state
        answered = try number("messages", in: all)
        self.all = try HeldReport.latency(in: all)
        self.meanwhile = try HeldReport.latency(in: meanwhile)
    }

    /// In milliseconds.
    private static func latency(in json: String) throws -> (Double, Double) {
        (
            try number("p50", in: json, of: "latency_us") / 1000, try number("p99", in: json, of: "latency_us") / 1000
        )
    }

    var table: MarkdownTable {
        var table = MarkdownTable("what", ["all", "each"])
        let count = Double(state.opened)
        let (before, server, client) = (state.serverBefore, state.server, state.client)
        let moments = [("once all are open", state.serverFirst), ("\(state.idle.decimals(0)) s later", server)]
        for (moment, use) in moments {
            table.add(memory: "server, \(moment): resident memory", Double(use.pss - before.pss), count)
            table.add(memory: "server, \(moment): page tables", Double(use.pageTables - before.pageTables), count)
        }
        table.add(memory: "client, all of it: resident memory", Double(client.pss), count)
        table.add(memory: "client, all of it: page tables", Double(client.pageTables), count)
        table.add(memory: "kernel: slabs, for both ends", Double(state.slabs), count)
        table.add("memory left", "\(state.memoryLeft) MiB", "")
        table.add("sockets", state.sockets, "")
        let seconds = Double(state.openTime / .microseconds(1)) / 1e6
        table.add("time to open", "\(seconds.decimals(1)) s", "\((seconds * 1e6 / count).decimals(0)) us")
        table.add("answered once more, 64 at a time", answered.decimals(0), text(all))
        table.add("50 more clients, 1,000 messages a second", "5 s", text(meanwhile))
        return table
    }

    private func text(_ latency: (p50: Double, p99: Double)) -> String {
        "p50 \(latency.p50.decimals(2)) ms, p99 \(latency.p99.decimals(2)) ms"
    }
}

/// The number behind `"name":` in JSON text; with `object`, behind the beginning of the object of that name.
func number(_ name: String, in json: String, of object: String? = nil) throws(BenchFailure) -> Double {
    var text = Substring(json)
    if let object {
        guard let range = text.firstRange(of: "\"\(object)\":") else { throw BenchFailure("no \(object) in: \(json)") }
        text = text[range.upperBound...]
    }
    if let range = text.firstRange(of: "\"\(name)\":") {
        let digits = text[range.upperBound...].drop { $0 == " " }.prefix { $0.isNumber || $0 == "." }
        if let number = Double(digits) { return number }
    }
    throw BenchFailure("no \(name) in: \(json)")
}
