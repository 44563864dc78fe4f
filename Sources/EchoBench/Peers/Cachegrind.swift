import Glibc
import ProgramKit

/// What a message costs a server in user space, as valgrind's cachegrind counts it.
struct Cachegrind {
    enum Counter {
        case instructions
        /// Lines of 64 bytes that a first-level data cache of 32 KiB does not have: with a thousand connections, most that belong to one of them.
        case lines
    }

    let counter: Counter
    let connections: Int
    /// What the connections do, by the load generator's name.
    var mode = "steady"

    /// The difference of two runs: what starting and ending cost is in both.
    func count(of peer: Peer, _ harness: Harness) throws -> Double {
        try withScratchFolder { folder in
            let few = try run(peer, harness, folder, seconds: 0.1)
            let many = try run(peer, harness, folder, seconds: 2)
            return (many.count - few.count) / (many.messages - few.messages)
        }
    }

    private func run(
        _ peer: Peer, _ harness: Harness, _ folder: String, seconds: Double
    ) throws -> (messages: Double, count: Double) {
        var start = peer.start(for: nil)
        start.patience = 120
        if peer.isSwift { start.words[0] = try strip(start.words[0], into: folder) }
        let load = ["--connections", "\(connections)", "--seconds", "\(seconds)", "--mode", mode]
        let messages = try harness.withServer(start, under: words + ["--log-file=\(folder)/valgrind.%p"]) { server in
            try harness.load(server).run(load).messages
        }
        let logs = SmallFile.entries(of: folder).filter { $0.hasPrefix("valgrind.") }.map { "\(folder)/\($0)" }
        defer { for log in logs { unlink(log) } }
        return (messages, try logs.reduce(0) { try $0 + counter.value(in: SmallFile.text(of: $1) ?? "") })
    }

    private var words: [String] {
        let valgrind = ["valgrind", "--tool=cachegrind", "--cachegrind-out-file=/dev/null"]
        return switch counter {
        case .instructions: valgrind + ["--cache-sim=no"]
        case .lines: valgrind + ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"]
        }
    }

    /// Without debug information.
    private func strip(_ program: String, into folder: String) throws -> String {
        try Tool.run(["strip", "-g", "-o", "\(folder)/bare", program])
        return "\(folder)/bare"
    }
}

extension Cachegrind.Counter {
    /// How the counter's line in the log begins, behind the process.
    private var title: String {
        switch self {
        case .instructions: "I refs:"
        case .lines: "D1 misses:"
        }
    }

    /// From a log of cachegrind.  Throws where the process had to be killed, and has written nothing.
    func value(in log: String) throws(BenchFailure) -> Double {
        for line in log.lines {
            let words = String(line).words
            guard words.count > 3, words[1...2].joined(separator: " ") == title else { continue }
            if let count = Double(words[3].replacing(",", with: "")) { return count }
        }
        throw BenchFailure("valgrind has counted nothing")
    }
}
