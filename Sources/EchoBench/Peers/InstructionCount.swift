import Glibc
import GreenNet
import ProgramKit

/// Instructions a message: counted by the processor, in the kernel too, or else by valgrind.
struct InstructionCount {
    let user: Double
    /// 0 where it is not known.
    let kernel: Double

    init(of peer: Peer, _ harness: Harness, seconds: Double) throws {
        self =
            try InstructionCount.processorCounts
            ? InstructionCount(byProcessor: peer, harness, seconds) : InstructionCount(byValgrind: peer, harness)
    }

    private init(user: Double, kernel: Double) { (self.user, self.kernel) = (user, kernel) }

    // MARK: The processor

    static var processorCounts: Bool {
        guard Tool.isInstalled("perf"),
            let result = try? ChildProcess.run("perf", ["stat", "-x,", "-e", "instructions:u", "true"])
        else { return false }
        return counts(in: String(decoding: result.errorOutput, as: UTF8.self), "instructions:u") != nil
    }

    private init(byProcessor peer: Peer, _ harness: Harness, _ seconds: Double) throws {
        self = try withScratchFolder { folder in
            let file = "\(folder)/counters"
            let perf = ["perf", "stat", "-x,", "-e", "instructions:u", "-e", "instructions:k", "-o", file]
            let messages = try harness.withServer(peer.start(for: nil)) { server in
                try WatchedRun(harness: harness, server: server, seconds: seconds).messages(watchedBy: perf)
            }
            let text = SmallFile.text(of: file) ?? ""
            func each(_ event: String) -> Double { (InstructionCount.counts(in: text, event) ?? 0) / messages }
            return InstructionCount(user: each("instructions:u"), kernel: each("instructions:k"))
        }
    }

    /// From the lines of `perf stat -x,`: `123,,instructions:u,...`.
    static func counts(in text: String, _ event: String) -> Double? {
        for line in text.lines {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            if fields.count > 2, fields[2] == event, let count = Double(fields[0]) { return count }
        }
        return nil
    }

    // MARK: valgrind

    /// The difference of two runs: what starting and ending cost is in both.
    private init(byValgrind peer: Peer, _ harness: Harness) throws {
        self = try withScratchFolder { folder in
            let few = try InstructionCount.valgrind(peer, harness, folder, seconds: 0.1)
            let many = try InstructionCount.valgrind(peer, harness, folder, seconds: 2)
            return InstructionCount(
                user: (many.instructions - few.instructions) / (many.messages - few.messages), kernel: 0)
        }
    }

    private static func valgrind(
        _ peer: Peer, _ harness: Harness, _ folder: String, seconds: Double
    ) throws -> (messages: Double, instructions: Double) {
        var start = peer.start(for: nil)
        start.patience = 120
        if peer.isSwift { start.words[0] = try strip(start.words[0], into: folder) }
        let valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        let messages = try harness.withServer(start, under: valgrind + ["--log-file=\(folder)/valgrind.%p"]) { server in
            try harness.load(server).run(["--connections", "64", "--seconds", "\(seconds)"]).messages
        }
        let logs = SmallFile.entries(of: folder).filter { $0.hasPrefix("valgrind.") }.map { "\(folder)/\($0)" }
        defer { for log in logs { unlink(log) } }
        return (messages, try logs.reduce(0) { try $0 + instructions(in: SmallFile.text(of: $1) ?? "") })
    }

    /// Without debug information.
    private static func strip(_ program: String, into folder: String) throws -> String {
        try Tool.run(["strip", "-g", "-o", "\(folder)/bare", program])
        return "\(folder)/bare"
    }

    /// From a log of cachegrind.  Throws where the process had to be killed, and has written nothing.
    static func instructions(in log: String) throws(BenchFailure) -> Double {
        for line in log.lines where line.contains("refs:") {
            let words = String(line).words
            guard let place = words.firstIndex(of: "refs:"), place > 0, words[place - 1] == "I" else { continue }
            if let count = words.last.flatMap({ Double($0.replacing(",", with: "")) }) { return count }
        }
        throw BenchFailure("valgrind has counted nothing")
    }
}
