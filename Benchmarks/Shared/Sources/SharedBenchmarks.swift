// `make bench-shared`: what passes between two processes, in nine rounds, each contender in each round.
//
//     SharedBenchmarks PYTHON SCRIPT

import CSharedBenchmarks
import Glibc
import GreenNet

@main struct SharedBenchmarks {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            print("usage: SharedBenchmarks PYTHON SCRIPT")
            exit(64)
        }
        let python = { try runPython(arguments[1], arguments[2]) }
        try compare(
            "a frame of 64 bytes through a queue for 1000, from one process to another",
            [
                ("multiprocessing.Queue", python),
                ("SharedQueue<[UInt8]>, on hubs", { try passFrames(count: 300_000, onHub: true) }),
                ("SharedQueue<[UInt8]>, blocking", { try passFrames(count: 300_000, onHub: false) }),
                ("SharedQueue<Int>, on hubs", { try passNumbers(count: 300_000) }),
            ])
        try compare(
            "a hand-over of 8 bytes between two processes, one at a time",
            [
                ("C, a socket pair", { socket_pair_handover(20_000) }),
                ("two SharedQueue<Int>(limit: 1), on hubs", { try handOver(count: 20_000, onHub: true) }),
                ("two SharedQueue<Int>(limit: 1), blocking", { try handOver(count: 20_000, onHub: false) }),
            ])
        let (lock, counters) = (try SharedLock(), try SharedCounters(count: 1))
        let (value, semaphore) = (try SharedValue(0), try SharedSemaphore(4))
        try compare(
            "uncontended calls, in one process",
            [
                ("SharedCounters.add", { time(1_000_000) { counters.add(to: 0) } }),
                ("SharedValue.load", { time(1_000_000) { _ = value.load() } }),
                ("SharedValue.add", { time(1_000_000) { value.add(1) } }),
                ("SharedLock.withLock", { try time(1_000_000) { try lock.withLock { _ in } } }),
                ("SharedSemaphore.withPermit", { try time(1_000_000) { try semaphore.withPermit {} } }),
            ])
    }
}

/// Prints the median of nine rounds of each, in nanoseconds, and how it stands to the first.
private func compare(_ title: String, _ contenders: [(name: String, run: () throws -> Double)]) throws {
    var times = contenders.map { _ in [Double]() }
    for _ in 0..<9 {
        for (index, contender) in contenders.enumerated() { times[index].append(try contender.run()) }
    }
    print("\(title): ns, the median of 9 rounds, the least and the most; and how many times as fast as the first")
    let medians = times.map { $0.sorted()[4] }
    for (index, contender) in contenders.enumerated() {
        let name = contender.name + String(repeating: " ", count: max(0, 44 - contender.name.count))
        let (least, most) = (times[index].min()!, times[index].max()!)
        print(
            "  \(name) \(Int(medians[index]))  (\(Int(least)) to \(Int(most)))  \(hundredths(medians[0] / medians[index]))"
        )
    }
}

private func hundredths(_ number: Double) -> Double { (number * 100).rounded() / 100 }

private func time(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
    let begin = Deadline.now
    for _ in 0..<count { try body() }
    return nanoseconds(since: begin) / Double(count)
}

private func nanoseconds(since begin: Deadline) -> Double {
    let (seconds, attoseconds) = (Deadline.now - begin).components
    return Double(seconds) * 1e9 + Double(attoseconds) / 1e9
}

/// Runs `body` in a forked child beside `own`, and returns what that does.
private func beside(onHub: Bool, _ body: @escaping () throws -> Void, _ own: () throws -> Double) throws -> Double {
    let pid = try Fork.child(Fork.Inheritance()) {
        if onHub { _ = Hub.current }
        do { try body() } catch { return 1 }
        return 0
    }
    if onHub { _ = Hub.current }
    defer { if onHub { Hub.current.close() } }
    let result = try own()
    var status: Int32 = 0
    guard waitpid(pid, &status, 0) == pid, status == 0 else { fatalError("the child has failed: status \(status)") }
    return result
}

private func passFrames(count: Int, onHub: Bool) throws -> Double {
    let queue = try SharedQueue<[UInt8]>(limit: 1000, longest: 64)
    let frame = [UInt8](repeating: 120, count: 64)
    return try beside(onHub: onHub, { for _ in 0..<count { try queue.put(frame) } }) {
        _ = try queue.take()
        return try time(count - 1) { if try queue.take() != frame { fatalError("another frame") } }
    }
}

private func passNumbers(count: Int) throws -> Double {
    let queue = try SharedQueue<Int>(limit: 1000)
    return try beside(onHub: true, { for number in 0..<count { try queue.put(number) } }) {
        var last = try queue.take()
        return try time(count - 1) {
            last += 1
            if try queue.take() != last { fatalError("another number") }
        }
    }
}

private func handOver(count: Int, onHub: Bool) throws -> Double {
    let (there, back) = (try SharedQueue<Int>(limit: 1), try SharedQueue<Int>(limit: 1))
    func answer() throws { for _ in 0..<count { try back.put(try there.take()) } }
    return try beside(onHub: onHub, answer) {
        try time(count) {
            try there.put(1)
            _ = try back.take()
        } / 2
    }
}

private func runPython(_ python: String, _ script: String) throws -> Double {
    let (_, output, errors) = try ChildProcess.run(python, [script, "50000"])
    // A process that forks afterwards must not have the child's hub.
    Hub.current.close()
    guard let time = Double(String(decoding: output.prefix { $0 != 10 }, as: UTF8.self)) else {
        fatalError("\(python) \(script) has printed no number: \(String(decoding: output + errors, as: UTF8.self))")
    }
    return time
}
