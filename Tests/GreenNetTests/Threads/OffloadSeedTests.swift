import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Random submits, withdrawals, kills and deadlines: each call is made once or never, and ends once, as its handle and its `onEnd` body say.
struct OffloadSeedTests {
    @Test func `whatever is withdrawn, killed or late, each call ends once, and the counts agree`() throws {
        try onHub {
            for seed in 0..<UInt64(Sanitizer.scaled(300, address: 100, thread: 40)) { try playOut(seed) }
        }
    }

    private func playOut(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let limit = Int.random(in: 1...4, using: &random)
        let pool = OffloadPool(limit: limit, givenUpLimit: Int.random(in: 0...2, using: &random))
        var plays: [Play] = []
        for number in 0..<40 {
            let play = try Play(number, pool, &random)
            plays.append(play)
            if Bool.random(using: &random) { try Greenlet.yield() }
            if let one = plays.randomElement(using: &random), Int.random(in: 0..<3, using: &random) == 0 {
                one.disturb(&random)
            }
        }
        let drops = Bool.random(using: &random)
        let isEarly = Bool.random(using: &random)
        if isEarly { _ = try pool.shutDown(dropsQueued: drops, until: .now) }
        try #expect(pool.shutDown(dropsQueued: drops), "seed \(seed)")
        try eventuallyOnHub { plays.allSatisfy(\.isOver) && pool.statistics.threads == 0 }
        for play in plays { play.check(seed) }
        let counts = pool.statistics
        #expect(counts.queued == 0 && counts.running == 0 && counts.givenUp == 0, "seed \(seed): \(counts)")
        #expect(counts.done == plays.reduce(0) { $0 + $1.timesMade }, "seed \(seed): \(counts)")
        #expect(counts.done + counts.withdrawn == plays.count, "seed \(seed): \(counts)")
    }

    /// One call, and all that waits for it.
    private final class Play {
        private let number: Int
        private let made = Made()
        private var call: OffloadedCall<Int>?
        private var waiters: [Greenlet<Int>] = []
        private var wasWithdrawn = false
        private var ends: [Result<Int, any Error>] = []
        private let fails: Bool

        var timesMade: Int { made.count.load(ordering: .relaxed) }

        init(_ number: Int, _ pool: OffloadPool, _ random: inout SeededRandom) throws {
            self.number = number
            fails = Int.random(in: 0..<5, using: &random) == 0
            let (made, fails, length) = (made, fails, UInt32.random(in: 0..<3, using: &random))
            let body: @Sendable () throws -> Int = {
                made.count.add(1, ordering: .relaxed)
                if length > 1 { poll(nil, 0, 1) }
                if fails { throw Failure(number) }
                return number
            }
            switch Int.random(in: 0..<4, using: &random) {
            case 0: waiters.append(spawn { try pool.run(body) })
            case 1: waiters.append(spawn { try pool.run(until: .after(.milliseconds(2)), body) })
            case 2: call = try pool.submit(until: .after(.milliseconds(2)), body)
            default: call = try pool.submit(body)
            }
            // So that its call is there, or the pool may be shut down first.
            try Greenlet.yield()
            guard let call else { return }
            call.onEnd { self.ends.append($0) }
            waiters.append(spawn { try call.value() })
            waiters.append(
                spawn {
                    while try waitAny([call], until: .after(.milliseconds(1))) == nil {}
                    return try call.value()
                })
        }

        func disturb(_ random: inout SeededRandom) {
            if Bool.random(using: &random) { waiters.randomElement(using: &random)?.kill() }
            if Bool.random(using: &random), let call { wasWithdrawn = call.withdraw() || wasWithdrawn }
        }

        var isOver: Bool { waiters.allSatisfy(\.hasEnded) && (call == nil || !ends.isEmpty) }

        func check(_ seed: UInt64) {
            #expect(timesMade <= 1, "seed \(seed), call \(number)")
            for waiter in waiters { check(waiter.result, seed) }
            guard let call else { return }
            #expect(ends.count == 1, "seed \(seed), call \(number)")
            check(ends.first, seed)
            check(call.result, seed)
            if wasWithdrawn { #expect(timesMade == 0, "seed \(seed), call \(number)") }
        }

        /// A value and the body's own error are there only where the call was made.
        private func check(_ result: Result<Int, any Error>?, _ seed: UInt64) {
            switch result {
            case .success(number): #expect(timesMade == 1 && !fails, "seed \(seed), call \(number)")
            case .failure(let failure as Failure):
                #expect(failure == Failure(number) && timesMade == 1 && fails, "seed \(seed), call \(number)")
            case .failure(WaitError.deadlinePassed), .failure(is GreenletExit): break
            case .failure(OffloadError.withdrawn), .failure(OffloadError.shutDown):
                #expect(timesMade == 0, "seed \(seed), call \(number)")
            default: Issue.record("seed \(seed), call \(number): \(String(describing: result))")
            }
        }
    }

    private final class Made: Sendable {
        let count = Atomic(0)
    }
}
