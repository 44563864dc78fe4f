import GreenNet
import TestSupport
import Testing

struct GreenBarrierTests {
    @Test func `all wait for the last to arrive, again and again`() throws {
        try onHub {
            let barrier = GreenBarrier(5)
            var rounds = Array(repeating: 0, count: 5)
            for number in 0..<5 {
                spawn {
                    for round in 1...10 {
                        for _ in 0..<number { try Greenlet.yield() }
                        rounds[number] = round
                        try #expect(barrier.wait())
                        #expect(rounds.allSatisfy { $0 == round || $0 == round + 1 })
                    }
                }
            }
            try Hub.current.run()
            #expect(rounds.allSatisfy { $0 == 10 })
            #expect(barrier.count == 0)
        }
    }

    @Test func `a barrier for one green thread never waits`() throws {
        try onHub {
            let barrier = GreenBarrier(1)
            for _ in 0..<3 { try #expect(barrier.wait(until: .now)) }
        }
    }

    @Test func `a green thread that gives up is not counted, and the others wait for another`() throws {
        try onHub {
            let barrier = GreenBarrier(2)
            let killed = spawn { try barrier.wait() }
            try Greenlet.yield()
            killed.kill()
            // A green thread that was killed and has not run yet must not count any more.
            try #expect(!barrier.wait(until: .after(.milliseconds(2))))
            #expect(throws: GreenletExit()) { try killed.value() }
            let limited = spawn { try withTimeout(.milliseconds(1)) { try barrier.wait() } }
            #expect(throws: TimedOut.self) { try limited.value() }
            let pair = [spawn { try barrier.wait() }, spawn { try barrier.wait() }]
            for one in pair { try #expect(one.value()) }
        }
    }

    @Test func `an open barrier lets all waiting green threads go on, even one that is killed before it runs`() throws {
        try onHub {
            let barrier = GreenBarrier(2)
            let first = spawn { try barrier.wait() }
            try Greenlet.yield()
            try #expect(barrier.wait())
            first.kill()
            try #expect(first.value())
        }
    }
}
