import GreenNet

/// Starts servers and loads them, each on its CPU.
final class Harness {
    let server: Placement
    let generator: Placement
    private let group: ControlGroup?

    var hasControlGroup: Bool { group != nil }

    /// `group` may be shared by several harnesses, one after the other.
    init(server: Placement, generator: Placement, group: ControlGroup?) {
        (self.server, self.generator, self.group) = (server, generator, group)
    }

    /// Runs a server while `body` does.  All that it does once, it has done before `body` begins.
    func withServer<Value>(
        _ start: ServerStart, under wrapper: [String] = [], _ body: (RunningServer) throws -> Value
    ) throws -> Value {
        try start.run(placement: server.words + wrapper, in: group) { running in
            _ = try load(running).run(["--connections", "1", "--seconds", "0.1"])
            return try body(running)
        }
    }

    func load(_ server: RunningServer) -> GeneratorStart {
        GeneratorStart(placement: generator.words, port: server.port)
    }

    /// Loads a server, and measures it meanwhile.
    func measure(_ server: RunningServer, seconds: Double, _ options: [String]) throws -> Measurement {
        let all = ["--attended", "--seconds", "\(seconds)"] + options
        return try load(server).attended(all, seconds: seconds) { generator in
            let before = server.cpuTime
            try generator.go()
            let line = try generator.hear()
            let used = server.cpuTime - before
            return Measurement(report: try LoadReport(parsing: line), serverNanoseconds: Double(used))
        }
    }

    /// What a server holds without and with `count` idle connections, each of which has had one message, `seconds` after the last of them.
    func measureIdle(
        _ server: RunningServer, _ count: Int, after seconds: Double
    ) throws -> (before: MemoryUse, after: MemoryUse) {
        let before = server.memory
        let after = try load(server).attended(["--mode", "hold", "--connections", "\(count)"]) { _ in
            try Greenlet.sleep(for: .seconds(seconds))
            return server.memory
        }
        return (before, after)
    }
}

/// A load, and the CPU time of the server meanwhile.
struct Measurement {
    let report: LoadReport
    let serverNanoseconds: Double

    /// In microseconds.
    var serverTimePerMessage: Double { serverNanoseconds / 1e3 / report.messages }
    var generatorTimePerMessage: Double { report.cpuSeconds * 1e6 / report.messages }
    /// Shares of a CPU.
    var serverBusy: Double { serverNanoseconds / 1e9 / report.seconds }
    var generatorBusy: Double { report.cpuSeconds / report.seconds }
}
