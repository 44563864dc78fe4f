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
            ? InstructionCount(byProcessor: peer, harness, seconds)
            : InstructionCount(
                user: Cachegrind(counter: .instructions, connections: 64).count(of: peer, harness), kernel: 0)
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
}
