import Synchronization
import TestSupport
import Testing

@testable import GreenNet

struct OffloadedResultsTests {
    @Test func `map keeps the order of the items, whichever call ends first`() throws {
        try onHub {
            let pool = OffloadPool(limit: 8)
            let gates = (0..<8).map { _ in Gate() }
            let opener = spawn {
                for gate in gates.reversed() {
                    try eventuallyOnHub { gate.waiting == 1 }
                    gate.open()
                }
            }
            let values = try pool.map(0..<8) { number in
                gates[number].pass()
                return number * 10
            }
            #expect(values == [0, 10, 20, 30, 40, 50, 60, 70])
            try opener.value()
        }
    }

    @Test func `map of nothing is nothing, and of one item its value`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try #expect(pool.map([Int]()) { $0 } == [])
            try #expect(pool.map([4], ahead: 1) { $0 } == [4])
            try #expect(pool.map([4, 5], ahead: .max) { $0 } == [4, 5])
        }
    }

    @Test(arguments: [1, 2, 7])
    func `map takes no more than the given number of items ahead of the values that are there`(ahead: Int) throws {
        try onHub {
            let pool = OffloadPool(limit: 4)
            let ended = Atomic(0)
            var (taken, most) = (0, 0)
            let items = sequence(state: 0) { (next: inout Int) -> Int? in
                guard next < 50 else { return nil }
                defer { next += 1 }
                taken += 1
                most = max(most, taken - ended.load(ordering: .relaxed))
                return next
            }
            let values = try pool.map(items, ahead: ahead) { number in
                defer { ended.add(1, ordering: .relaxed) }
                return number
            }
            #expect(values == Array(0..<50))
            #expect(taken == 50)
            #expect(most <= ahead)
        }
    }

    @Test func `the first error is thrown at once, though an earlier call still runs, and the rest is withdrawn`()
        throws
    {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let gate = Gate()
            let begun = Atomic(0)
            var taken = 0
            let items = (0..<100).lazy.map { number in
                taken += 1
                return number
            }
            #expect(throws: Failure(1)) {
                try pool.map(items, ahead: 50) { number in
                    begun.add(1, ordering: .relaxed)
                    if number == 0 { gate.pass() }
                    if number == 1 {
                        _ = eventually { gate.waiting == 1 }
                        throw Failure(1)
                    }
                }
            }
            #expect(pool.statistics.queued == 0)
            // The OS thread whose call has failed may have begun one more before the withdrawal.
            #expect((1...2).contains(pool.statistics.givenUp))
            gate.open()
            try eventuallyOnHub { pool.statistics.threads == 0 }
            #expect(begun.load(ordering: .relaxed) <= 3)
            #expect(taken <= 50)
            #expect(pool.statistics.done + pool.statistics.withdrawn == taken)
            try #expect(pool.map([3]) { $0 } == [3])
        }
    }

    @Test func `a deadline, a kill and a time limit withdraw what has not begun, and give up what runs`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1, givenUpLimit: 3)
            let gate = Gate()
            // In this time the pool's OS thread has begun a call: a pool gives up only what has begun.
            let untilBegun: Duration = .milliseconds(200) * Sanitizer.slowness
            #expect(throws: WaitError.deadlinePassed) {
                try pool.map(0..<5, until: .after(untilBegun)) { _ in gate.pass() }
            }
            #expect(throws: TimedOut.self) {
                try withTimeout(untilBegun) { try pool.map(0..<5) { _ in gate.pass() } }
            }
            let mapping = spawn { try pool.map(0..<5) { _ in gate.pass() } }
            try eventuallyOnHub { gate.waiting == 3 }
            mapping.kill()
            #expect(throws: GreenletExit()) { try mapping.value() }
            #expect(gate.waiting == 3)
            #expect(pool.statistics.givenUp == 3 && pool.statistics.queued == 0)
            try #expect(pool.run { 6 } == 6)
            gate.open()
            try eventuallyOnHub { pool.statistics.threads == 0 }
        }
    }

    @Test func `where a call that runs is given up, none of the same map begins in its place`() throws {
        try onHub {
            let gate = Gate()
            for _ in 0..<20 {
                let pool = OffloadPool(limit: 1, givenUpLimit: 1)
                let begun = Guarded(0)
                let results = pool.iterate(0..<1000, ahead: 1000) { _ in
                    begun.withLock { $0 += 1 }
                    gate.pass()
                }
                try eventuallyOnHub { begun.withLock { $0 } == 1 }
                results.close()
                // Behind all others, if there are any.
                try #expect(pool.run { 6 } == 6)
                #expect(begun.withLock { $0 } == 1)
            }
            gate.open()
            try eventuallyOnHub { gate.waiting == 0 }
        }
    }

    @Test func `values come one after the other from an endless sequence, and a close withdraws the rest`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let squares = pool.iterate(sequence(first: 1) { $0 + 1 }, ahead: 4) { $0 * $0 }
            try #expect((0..<6).map { _ in try squares.next() } == [1, 4, 9, 16, 25, 36])
            squares.close()
            try #expect(squares.next() == nil)
            try eventuallyOnHub { pool.statistics.threads == 0 }
            #expect(pool.statistics.queued == 0)
            let total = pool.statistics
            #expect(total.done + total.withdrawn == 10)
        }
    }

    @Test func `next throws the error in its place, then ends; a deadline leaves the calls going`() throws {
        try onHub {
            let pool = OffloadPool(limit: 3)
            let (gate, firstTaken) = (Gate(), Gate())
            let values = pool.iterate(0..<6, ahead: 6) { number in
                if number == 1 { gate.pass() }
                if number == 2 {
                    firstTaken.pass()
                    throw Failure(2)
                }
                return number
            }
            try #expect(values.next() == 0)
            firstTaken.open()
            // The error is later in the order, but ends the rest.
            #expect(throws: (any Error).self) { try values.next(until: .after(.seconds(10))) }
            try #expect(values.next() == nil)
            let slow = pool.iterate(0..<2) { number in
                gate.pass()
                return number
            }
            #expect(throws: WaitError.deadlinePassed) { try slow.next(until: .after(.milliseconds(2))) }
            gate.open()
            try #expect(slow.next() == 0)
            try #expect(slow.next() == 1)
            try #expect(slow.next() == nil)
        }
    }

    @Test(arguments: [(1, 16), (8, 16), (9, 18), (20, 40)])
    func `where no number is given, twice the pool's limit is taken ahead, and 16 at the least`(
        limit: Int, ahead: Int
    ) throws {
        try onHub {
            let pool = OffloadPool(limit: limit)
            let gate = Gate()
            var taken = 0
            let items = sequence(state: ()) { _ in
                taken += 1
                return taken
            }
            let values = pool.iterate(items) { _ in gate.pass() }
            #expect(taken == ahead)
            gate.open()
            try #expect(values.next() != nil)
            #expect(taken == ahead + 1)
            values.close()
            try eventuallyOnHub { pool.statistics.threads == 0 }
        }
    }

    @Test func `results that are released withdraw their calls`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            do {
                let values = pool.iterate(0..<10, ahead: 10) { _ in gate.pass() }
                try eventuallyOnHub { gate.waiting == 1 }
                withExtendedLifetime(values) {}
            }
            #expect(pool.statistics.queued == 0 && pool.statistics.givenUp == 1)
            gate.open()
            try eventuallyOnHub { pool.statistics.threads == 0 }
        }
    }

    @Test func `map in a call of the same pool finds OS threads`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let value = try pool.submit {
                try pool.map(0..<20) { number in try pool.map(0..<3) { $0 * number }.reduce(0, +) }
            }
            try #expect(value.value() == (0..<20).map { $0 * 3 })
            try eventuallyOnHub { pool.statistics.threads == 0 }
        }
    }
}
