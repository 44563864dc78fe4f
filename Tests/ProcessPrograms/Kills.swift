import Glibc
import GreenNet

/// `pool-kills FIRST COUNT`: runs with the seeds from FIRST on.  `pool-orphans SEED` is the same, until it is killed.
let killPrograms = [
    ProcessProgram("pool-kills") { arguments in
        guard let first = UInt64(arguments[0]), let count = UInt64(arguments[1]) else { fail("two numbers") }
        for seed in first..<first + count { try KillRun(seed: seed).run() }
    },
    ProcessProgram("pool-orphans") { arguments in
        guard let seed = UInt64(arguments[0]) else { fail("a number") }
        try KillRun(seed: seed).runUntilKilled()
    },
]

/// Calls on a pool whose workers are killed at any moment.
///
/// Each call writes its number to a journal when it is run.  A call that has answered was run once, one that was told that its worker died at most once, and one
/// that was withdrawn never.
private final class KillRun {
    private let seed: UInt64
    private var random: SplitMix
    private let journal = Journal()
    private var answered: Set<Int> = []
    private var died: Set<Int> = []
    private var ended: Set<Int> = []

    init(seed: UInt64) { (self.seed, random) = (seed, SplitMix(seed: seed)) }

    private func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    private func makePool() throws -> ProcessPool<Int, Int> {
        let journal = journal
        return try ProcessPool(limit: draw(1...3), callsPerWorker: draw(0...2) == 0 ? draw(1...5) : nil) { number in
            journal.write("\(number)")
            let end = Deadline.after(.microseconds(number % 7 * 100))
            while !end.hasPassed {}
            return -number
        }
    }

    func run() throws {
        defer { journal.remove() }
        let pool = try makePool()
        var seen = Set(pool.workers)
        let count = 30
        let calls = (1...count).map { number in
            let limit: Deadline = draw(0...5) == 0 ? .after(.microseconds(draw(0...3000))) : .never
            return spawn { try self.call(pool, number, until: limit) }
        }
        while !calls.allSatisfy(\.hasEnded) {
            try Greenlet.sleep(for: .microseconds(draw(0...2000)))
            let workers = pool.workers
            check(workers.count <= pool.limit, "seed \(seed): \(workers) of \(pool.limit)")
            seen.formUnion(workers)
            if let victim = workers.randomElement(using: &random), draw(0...2) == 0 { kill(victim, SIGKILL) }
            if draw(0...9) == 0, let call = calls.randomElement(using: &random) { call.kill() }
        }
        seen.formUnion(pool.workers)
        for (call, number) in zip(calls, 1...count) where call.state == .killed { ended.insert(number) }
        check(answered.count + died.count + ended.count == count, "seed \(seed): a call has no end, or two")
        pool.close()
        check(!hasChildren && seen.allSatisfy { !isRunning($0) }, "seed \(seed): processes are left")
        let runs = Dictionary(grouping: journal.lines.map { Int($0) ?? 0 }, by: { $0 }).mapValues(\.count)
        check(runs.values.allSatisfy { $0 == 1 }, "seed \(seed): a call was run twice: \(runs)")
        check(answered.allSatisfy { runs[$0] == 1 }, "seed \(seed): an answer without a run")
        check(Set(runs.keys).isSubset(of: Set(1...count)), "seed \(seed): \(runs)")
    }

    private func call(_ pool: ProcessPool<Int, Int>, _ number: Int, until deadline: Deadline) throws {
        do {
            let answer = try pool.call(number, until: deadline)
            check(answer == -number, "seed \(seed): \(answer) is the answer to another call than \(number)")
            answered.insert(number)
        } catch is WorkerDied {
            died.insert(number)
        } catch WaitError.deadlinePassed {
            ended.insert(number)
        }
    }

    func runUntilKilled() throws {
        let pool = try makePool()
        print(pool.workers.map { "\($0)" }.joined(separator: " "))
        var number = 0
        while true {
            number += 1
            let next = number
            let calls = (0..<4).map { _ in pool.submit(next) }
            for call in calls { _ = try? call.value() }
            if draw(0...9) == 0, let victim = pool.workers.randomElement(using: &random) { kill(victim, SIGKILL) }
        }
    }
}
