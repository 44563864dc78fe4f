import Glibc
import GreenNet

/// `ParkedThreads COUNT [RESERVE]`: parks COUNT green threads at once, wakes them all, and prints in one line what that took, and what of it is left
/// five seconds later.
///
/// With less than RESERVE KiB of the machine's memory left, it spawns no more.
@main
struct ParkedThreads {
    static func main() throws {
        let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        guard let count = numbers.first, count > 0 else { fatalError("usage: ParkedThreads COUNT [RESERVE]") }
        _ = Hub.current
        let crowd = Crowd()
        let before = Memory.own
        let begin = Moment.now
        try crowd.gather(count, leaving: numbers.dropFirst().first ?? 0)
        let (gathered, after) = (Moment.now, Memory.own)
        try crowd.wake()
        let ended = Moment.now
        try Greenlet.sleep(for: .seconds(5))
        let left = Memory.own
        print(
            """
            threads=\(crowd.parked) resident_kib=\(after.resident - before.resident) \
            page_tables_kib=\(after.pageTables - before.pageTables) mappings=\(after.mappings) \
            spawn_ms=\(gathered.time - begin.time) spawn_cpu_ms=\(gathered.processorTime - begin.processorTime) \
            end_ms=\(ended.time - gathered.time) end_cpu_ms=\(ended.processorTime - gathered.processorTime) \
            left_resident_kib=\(left.resident - before.resident) \
            left_page_tables_kib=\(left.pageTables - before.pageTables)
            """)
    }
}

/// In milliseconds.
struct Moment {
    let time: Int
    /// Of this process, the kernel's part included.
    let processorTime: Int

    static var now: Moment { Moment(time: read(CLOCK_MONOTONIC), processorTime: read(CLOCK_PROCESS_CPUTIME_ID)) }

    private static func read(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}

/// Green threads that wait for one event.
final class Crowd {
    private let opening = GreenEvent()
    private(set) var parked = 0
    private var woken = 0
    /// After so many, it is looked whether there is memory for more.
    private static let batch = 10_000

    func gather(_ count: Int, leaving reserve: Int) throws {
        var spawned = 0
        while spawned < count, Memory.available > reserve {
            let next = min(count, spawned + Crowd.batch)
            for _ in spawned..<next { spawn { [self] in try waitForOpening() } }
            spawned = next
            while parked < spawned { try Greenlet.yield() }
        }
    }

    private func waitForOpening() throws {
        parked += 1
        try opening.wait()
        woken += 1
    }

    func wake() throws {
        opening.set()
        try Hub.current.run()
        precondition(woken == parked, "\(woken) of \(parked) have been woken")
    }
}

/// In KiB, as the kernel has it.
struct Memory {
    let resident: Int
    let pageTables: Int
    let mappings: Int

    static var own: Memory {
        Memory(
            resident: number(of: "VmRSS:", in: "/proc/self/status"),
            pageTables: number(of: "VmPTE:", in: "/proc/self/status"),
            mappings: lines(of: "/proc/self/maps") { _ in true }.count)
    }

    /// What the machine can still give to anybody.
    static var available: Int { number(of: "MemAvailable:", in: "/proc/meminfo") }

    private static func number(of name: String, in path: String) -> Int {
        let line = lines(of: path) { $0.hasPrefix(name) }.first ?? ""
        return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }

    private static func lines(of path: String, where isWanted: (String) -> Bool) -> [String] {
        guard let file = fopen(path, "re") else { return [] }
        defer { fclose(file) }
        var lines: [String] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        while fgets(&buffer, Int32(buffer.count), file) != nil {
            let line = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if isWanted(line) { lines.append(line) }
        }
        return lines
    }
}
