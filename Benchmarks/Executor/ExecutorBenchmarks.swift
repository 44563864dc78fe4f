import Glibc
import GreenNet

/// Times OffloadPool beside CPython's ThreadPoolExecutor, and RemoteChannel beside Rust's std::sync::mpsc, in the same rounds.
///
///     ExecutorBenchmarks executor.py channel [--rounds N]
///
/// `channel` is channel.rs, compiled; `-` leaves it out.
@main
struct ExecutorBenchmarks {
    static let calls = 10_000
    static let limit = 2

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3 else {
            print("usage: ExecutorBenchmarks executor.py channel [--rounds N]")
            exit(64)
        }
        let rounds = arguments.count == 5 && arguments[3] == "--rounds" ? Int(arguments[4])! : 9
        var table = Table()
        for _ in 0..<rounds {
            table.add(try ownFigures())
            table.add(try figures(of: "python3", [arguments[1], "\(calls)", "\(limit)"], pythonRows))
            if arguments[2] != "-" { table.add(try figures(of: arguments[2], ["\(calls)"], rustRows)) }
        }
        table.print()
    }

    static let pythonRows = ["ThreadPoolExecutor, one at a time", "ThreadPoolExecutor, many"]
    static let rustRows = ["mpsc, to and fro", "mpsc, one way"]

    static func ownFigures() throws -> [(String, Double)] {
        let pool = OffloadPool(limit: limit)
        try submitMany(pool, 1000)
        let channels = try Channels()
        defer { channels.close() }
        return [
            ("submit, one at a time", try nanoseconds(calls) { try submitEach(pool, calls) }),
            ("run, one at a time", try nanoseconds(calls) { for _ in 0..<calls { _ = try pool.run { 42 } } }),
            ("submit, many", try nanoseconds(calls) { try submitMany(pool, calls) }),
            ("RemoteChannel, to and fro", try nanoseconds(calls * 2) { try channels.toAndFro(calls) }),
            ("RemoteChannel, one way", try nanoseconds(calls * 10) { try channels.oneWay(calls * 10) }),
            ("map on all cores, of ideal", try shareOfIdeal()),
        ]
    }

    static func submitEach(_ pool: OffloadPool, _ count: Int) throws {
        for _ in 0..<count {
            let answer = try pool.submit { 42 }.value()
            precondition(answer == 42)
        }
    }

    static func submitMany(_ pool: OffloadPool, _ count: Int) throws {
        let calls = try (0..<count).map { _ in try pool.submit { 42 } }
        for call in calls {
            let answer = try call.value()
            precondition(answer == 42)
        }
    }

    static func nanoseconds(_ count: Int, _ body: () throws -> Void) throws -> Double {
        let start = Deadline.now
        try body()
        return (Deadline.now - start).nanoseconds / Double(count)
    }

    static func figures(of program: String, _ arguments: [String], _ rows: [String]) throws -> [(String, Double)] {
        let end = try ChildProcess.run(program, arguments)
        let numbers = String(decoding: end.output, as: UTF8.self).split { $0 == " " || $0 == "\n" }.map { Double($0)! }
        precondition(numbers.count == rows.count)
        return Array(zip(rows, numbers))
    }

    // MARK: A computation on all cores

    /// The time of plain OS threads, one for each core, each with its share of the items, as a share of the time that `map` takes.
    static func shareOfIdeal() throws -> Double {
        let cores = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let (items, pool) = (200 * cores, OffloadPool(limit: cores))
        let threads = try (0..<cores).map { try HubThread(name: "core \($0)") }
        defer { for thread in threads { _ = try? thread.stop() } }
        var sums: [[UInt64]] = []
        let ideal = try nanoseconds(1) {
            let shares = threads.enumerated().map { index, thread in
                thread.remote.result { (index * 200..<(index + 1) * 200).map { compute(UInt64($0)) } }
            }
            sums.append(try shares.flatMap { try $0.value() })
        }
        let all = try nanoseconds(1) { sums.append(try pool.map(0..<items) { compute(UInt64($0)) }) }
        precondition(sums[0] == sums[1])
        return ideal / all
    }

    /// About a millisecond.
    static func compute(_ seed: UInt64) -> UInt64 {
        var state = seed
        for _ in 0..<500_000 { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
        return state
    }
}

/// Two channels to a green thread of another OS thread, and back.
final class Channels {
    private let other: HubThread
    private let there = RemoteChannel<Int>(limit: 1024)
    private let back = RemoteChannel<Int>(limit: 1024)

    init() throws {
        other = try HubThread(name: "channels")
        let (there, back) = (there, back)
        other.remote.spawn {
            while let item = try there.next() {
                if item >= 0 { try back.put(item) } else { try back.put(try sum(of: there)) }
            }
        }
    }

    func toAndFro(_ count: Int) throws {
        for number in 0..<count {
            try there.put(number)
            let answer = try back.take()
            precondition(answer == number)
        }
    }

    /// A negative number begins a row, and ends it.
    func oneWay(_ count: Int) throws {
        try there.put(-1)
        for number in 0..<count { try there.put(number) }
        try there.put(-1)
        let sum = try back.take()
        precondition(sum == count * (count - 1) / 2)
    }

    func close() {
        there.close()
        _ = try? other.stop()
    }
}

private func sum(of channel: RemoteChannel<Int>) throws -> Int {
    var sum = 0
    while let item = try channel.next(), item >= 0 { sum += item }
    return sum
}

/// The figures of all rounds.
struct Table {
    private var names: [String] = []
    private var figures: [String: [Double]] = [:]

    mutating func add(_ row: [(String, Double)]) {
        for (name, figure) in row {
            if figures[name] == nil { names.append(name) }
            figures[name, default: []].append(figure)
        }
    }

    func print() {
        Swift.print("| | median | least | greatest |\n| --- | --- | --- | --- |")
        for name in names {
            let sorted = figures[name]!.sorted()
            let unit = name.hasSuffix("ideal") ? "" : " ns"
            let columns = [median(sorted), sorted.first!, sorted.last!].map {
                "\(round($0, unit.isEmpty ? 2 : 0))\(unit)"
            }
            Swift.print("| \(name) | \(columns.joined(separator: " | ")) |")
        }
        Swift.print("\n| ratio in the same round | median | least | greatest |\n| --- | --- | --- | --- |")
        for (one, other) in Table.ratios where figures[other] != nil {
            let sorted = zip(figures[one]!, figures[other]!).map { $0 / $1 }.sorted()
            let columns = [median(sorted), sorted.first!, sorted.last!].map { "\(round($0, 2))" }
            Swift.print("| \(one) / \(other) | \(columns.joined(separator: " | ")) |")
        }
    }

    private static let ratios = [
        ("submit, one at a time", "ThreadPoolExecutor, one at a time"),
        ("submit, many", "ThreadPoolExecutor, many"),
        ("RemoteChannel, to and fro", "mpsc, to and fro"),
        ("RemoteChannel, one way", "mpsc, one way"),
    ]

    private func median(_ sorted: [Double]) -> Double { sorted[sorted.count / 2] }

    private func round(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 0 ? 1.0 : 100
        let rounded = (value * scale).rounded() / scale
        return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
    }
}

extension Duration {
    fileprivate var nanoseconds: Double { self / .nanoseconds(1) }
}
