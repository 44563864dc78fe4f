// Compares ProcessPool with Python's pools of processes, in turns, nine rounds of each: the least and the median of each, and the median of the ratios of the
// rounds.
//
//     ProcessBenchmarks call [PYTHON]     # a call of 64 bytes, beside multiprocessing.Pool.apply and ProcessPoolExecutor.submit().result()
//     ProcessBenchmarks map               # a computation on all cores, beside a forked child for each core

import Glibc
import GreenNet

@main struct ProcessBenchmarks {
    static func main() throws {
        let words = Array(CommandLine.arguments.dropFirst())
        switch words.first {
        case "call": try compareCalls(python: words.dropFirst().first ?? "python3")
        case "map": try compareMap()
        default:
            print("ProcessBenchmarks call [PYTHON] | map")
            exit(64)
        }
    }

    static let rounds = 9

    // MARK: Calls

    private static func compareCalls(python: String) throws {
        let pool = try ProcessPool(limit: 4) { (bytes: [UInt8]) in bytes }
        let values = try ProcessPool(limit: 4) { (pair: Pair) in pair }
        defer {
            pool.close()
            values.close()
        }
        try withChild(python, ["Benchmarks/Processes/pools.py"], options: .init(errorOutput: .inherited)) { child in
            let peer = Peer(child)
            var samples = [[Double]](repeating: [], count: 4)
            for _ in 0..<rounds {
                samples[0].append(try callTime(10_000) { _ = try pool.call([UInt8](repeating: 7, count: 64)) })
                samples[1].append(try callTime(10_000) { _ = try values.call(Pair(number: 7, text: "seven")) })
                samples[2].append(try peer.measure("apply"))
                samples[3].append(try peer.measure("submit"))
            }
            let names = [
                "ProcessPool, 64 bytes", "ProcessPool, a structure", "multiprocessing.Pool.apply, 64 bytes",
                "ProcessPoolExecutor.submit().result(), 64 bytes",
            ]
            show("us a call", names, samples)
            // At the end of its input it ends its pools, whose processes would outlive it else.
            child.input.close()
            _ = try child.wait()
        }
    }

    private struct Pair: Codable {
        var number: Int
        var text: String
    }

    /// In microseconds, without the first, in which workers begin.
    private static func callTime(_ count: Int, _ call: () throws -> Void) throws -> Double {
        for _ in 0..<100 { try call() }
        let start = Deadline.now
        for _ in 0..<count { try call() }
        return microseconds(since: start) / Double(count)
    }

    /// A Python that measures what it is asked for, a line each.
    private final class Peer {
        private let child: ChildProcess

        init(_ child: ChildProcess) { self.child = child }

        func measure(_ what: String) throws -> Double {
            try child.input.sendAll(what + "\n")
            var line: [UInt8] = []
            while line.last != UInt8(ascii: "\n"), let bytes = try child.output.receive() { line += bytes }
            guard let time = Double(String(decoding: line.dropLast(), as: UTF8.self)) else { fatalError("no figure") }
            return time
        }
    }

    // MARK: A computation

    /// The same work by one forked child for each core, each with its share, is the ideal; 1 says that the pool adds nothing.
    private static func compareMap() throws {
        let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        let items = (0..<cores * 40).map { UInt64($0) }
        let pool = try ProcessPool(limit: cores) { (seed: UInt64) in compute(seed) }
        defer { pool.close() }
        var samples = [[Double]](repeating: [], count: 2)
        for _ in 0..<rounds {
            let start = Deadline.now
            let digests = try digestsOfShares(items, cores)
            samples[0].append(microseconds(since: start) / 1000)
            let begin = Deadline.now
            let mapped = try pool.map(items)
            samples[1].append(microseconds(since: begin) / 1000)
            let ours = (0..<cores).map { digest(mapped[$0 * 40..<($0 + 1) * 40]) }
            guard digests == ours else { fatalError("the answers differ") }
        }
        show("ms for \(items.count) computations", ["\(cores) forked children", "ProcessPool.map"], samples)
    }

    private static func digestsOfShares(_ items: [UInt64], _ cores: Int) throws -> [Int32] {
        let children = try (0..<cores).map { core in
            try ForkedChild { digest(items[core * 40..<(core + 1) * 40].map { compute($0) }[...]) }
        }
        return try children.map { child in
            guard case .status(let status) = try child.wait() else { fatalError("a child was ended") }
            return status
        }
    }

    /// What fits into an exit status.
    private static func digest(_ values: ArraySlice<UInt64>) -> Int32 { Int32(values.reduce(0, ^) >> 32 & 0x7F) }

    /// Some 5 ms.
    @inline(never)
    private static func compute(_ seed: UInt64) -> UInt64 {
        var value = seed | 1
        for _ in 0..<4_000_000 { value = value &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
        return value
    }

    // MARK: Figures

    /// The figures of each, and the first one's ratio to each of the others, round by round.
    private static func show(_ unit: String, _ names: [String], _ samples: [[Double]]) {
        for (name, own) in zip(names, samples) {
            let ratios = zip(samples[0], own).map { $0 / $1 }.sorted()
            let figures = [own.min()!, own.sorted()[rounds / 2], ratios[rounds / 2]].map { text($0) }
            print("\(name): least \(figures[0]), median \(figures[1]) \(unit); first to this \(figures[2])")
        }
    }

    private static func text(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }

    private static func microseconds(since start: Deadline) -> Double {
        let length = (Deadline.now - start).components
        return Double(length.seconds) * 1e6 + Double(length.attoseconds) / 1e12
    }
}
