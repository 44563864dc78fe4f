import Glibc
import GreenNet

/// Random kills: `SharedPrograms random-kills FIRST COUNT`, with that many seeds.
let killPrograms = [
    SharedProgram("random-kills") { arguments in
        let (first, count) = (UInt64(arguments[0])!, UInt64(arguments[1])!)
        for seed in first..<first + count { try KillRun(seed).run() }
    }
]

/// Workers of each kind work without a pause, and some are killed at random moments.  The others go on, and at the end all is as it should be.
private final class KillRun {
    private let seed: UInt64
    private var random: SplitMix
    private let lock = try! SharedLock()
    private let semaphore = try! SharedSemaphore(2)
    private let stop = try! SharedEvent()
    private let queue = try! SharedQueue<Int>(limit: 4)
    private let pair = try! SharedArray<Int>(count: 2)
    /// What was put, as far as its process came to count it, and what was taken and done.
    private let puts = try! SharedCounters(count: 2)
    private let seen = try! SharedCounters(count: 2 * KillRun.most)
    private let told = try! SharedCounters(count: 2)
    private let sum = try! SharedValue(0)
    private let plain = try! SharedCounters(count: 1)

    private static let most = 1 << 20

    init(_ seed: UInt64) { (self.seed, random) = (seed, SplitMix(seed: seed)) }

    private func expect(_ condition: Bool, _ text: @autoclosure () -> String, line: UInt = #line) {
        check(condition, "seed \(seed): \(text())", line: line)
    }

    // MARK: Workers

    private func worker(_ number: Int, _ body: @escaping () throws -> Void) -> pid_t {
        let isOnHub = (seed + UInt64(number)) % 2 == 0
        return fork {
            if isOnHub { _ = Hub.current }
            try body()
        }
    }

    private func lockAgainAndAgain() throws {
        while !stop.isSet {
            try lock.withLock { previous in
                if case .died = previous {
                    told.add(to: 0)
                    pair.withElements { $0[1] = $0[0] }
                }
                expect(pair[0] == pair[1], "a half-done change, and no word of it")
                pair[0] += 1
                pair[1] += 1
            }
            sum.update {
                $0 += 2
                plain.add(to: 0)
            }
            expect(sum.load() % 2 == 0, "half of a value")
        }
    }

    private func usePermits() throws {
        while !stop.isSet {
            try semaphore.withPermit {
                let users = told.add(to: 1)
                _ = users
                told.add(-1, to: 1)
            }
        }
    }

    private func produce(_ producer: Int) throws {
        var number = 0
        while !stop.isSet, number < KillRun.most {
            try queue.put(producer * KillRun.most + number)
            number += 1
            puts.set(producer, to: number)
        }
    }

    private func consume() throws {
        while let item = try queue.next() {
            seen.add(to: item)
            queue.taskDone()
        }
    }

    // MARK: The run

    func run() throws {
        let lockers = (0..<2).map { worker($0) { try self.lockAgainAndAgain() } }
        let users = (0..<3).map { worker($0) { try self.usePermits() } }
        let producers = (0..<2).map { number in worker(number) { try self.produce(number) } }
        let consumers = (0..<2).map { worker($0) { try self.consume() } }
        var living = lockers + users + producers + consumers
        var killed: [pid_t] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            usleep(UInt32.random(in: 0...4000, using: &random))
            let victim = living.remove(at: Int.random(in: 0..<living.count, using: &random))
            kill(victim, SIGKILL)
            killed.append(victim)
        }
        for pid in killed { expect(end(of: pid) == .signal(SIGKILL), "not killed") }
        // Where all consumers are gone, the producers have no room: this process takes part.
        stop.set()
        let rest = Deadline.after(.seconds(20))
        let last = producers.filter { living.contains($0) }
        for producer in last {
            while waitpid(producer, nil, WNOHANG) == 0 {
                expect(!rest.hasPassed, "producer \(producer) goes on")
                if living.contains(where: consumers.contains) { usleep(500) } else { takeHere() }
            }
            openChildren -= 1
        }
        living.removeAll { last.contains($0) }
        if !living.contains(where: consumers.contains) { takeHere() }
        expect(try queue.joinTasks(until: .after(.seconds(20))), "\(queue.unfinishedTasks) tasks wait for ever")
        queue.shutDown()
        expectSuccess(living)
        try checkAll(killed: killed, consumers: consumers)
    }

    private func takeHere() {
        while let item = queue.tryTake() {
            seen.add(to: item)
            queue.taskDone()
        }
    }

    private func checkAll(killed: [pid_t], consumers: [pid_t]) throws {
        // The lock, with what it guards.
        let previous = try lock.withLock(until: .after(.seconds(20))) { $0 }
        if case .died = previous { pair.withElements { $0[1] = $0[0] } }
        expect(pair[0] == pair[1] && lock.holder == nil, "\(pair.allElements) under the lock")
        // Each death is told once at most.
        expect(told[0] + (previous == .released ? 0 : 1) <= killed.count, "\(told[0]) deaths were told")
        for permit in 0..<2 { expect(try semaphore.acquire(until: .after(.seconds(20))), "permit \(permit) is lost") }
        expect(!semaphore.tryAcquire(), "a third permit")
        // The value counts what its closure does, but for a kill in between.
        let updates = plain[0] - sum.load() / 2
        expect(updates >= 0 && updates <= killed.count, "\(updates) updates are lost")
        // No element twice, and no more missing than were lost.
        let lost = queue.lostTasks
        let deadConsumers = killed.filter(consumers.contains).count
        expect(lost <= deadConsumers, "\(lost) lost by \(deadConsumers) consumers")
        var missing = 0
        for producer in 0..<2 {
            let count = puts[producer]
            let items = (0..<count + 1).map { seen[producer * KillRun.most + $0] }
            expect(items.allSatisfy { $0 <= 1 }, "an element was taken twice")
            missing += items.prefix(count).filter { $0 == 0 }.count
        }
        expect(missing <= lost, "\(missing) are missing, and \(lost) were told as lost")
        expect(queue.isEmpty && queue.unfinishedTasks == 0, "\(queue.count) left")
    }
}
