import Synchronization
import TestSupport
import Testing

@testable import GreenNet

struct OffloadScopeTests {
    // MARK: shutDown

    @Test func `shutDown waits for all calls, and later ones are refused`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let calls = try (0..<3).map { number in
                try pool.submit {
                    gate.pass()
                    return number
                }
            }
            try #expect(!pool.shutDown(until: .after(.milliseconds(2))))
            #expect(throws: OffloadError.shutDown) { try pool.submit {} }
            #expect(throws: OffloadError.shutDown) { try pool.run {} }
            #expect(throws: OffloadError.shutDown) { try pool.map(0..<3) { $0 } }
            #expect(calls.allSatisfy { !$0.hasEnded })
            let second = spawn { try pool.shutDown() }
            try Greenlet.yield()
            gate.open()
            try #expect(pool.shutDown())
            // Nothing has to be waited for any more.
            #expect(calls.map { try? $0.result?.get() } == [0, 1, 2])
            try #expect(second.value())
        }
    }

    @Test func `shutDown with dropsQueued ends the calls that have not begun`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let calls = try (0..<3).map { _ in try pool.submit { gate.pass() } }
            let waiting = spawn { try pool.run { 4 } }
            try eventuallyOnHub { gate.waiting == 1 && waiting.state == .waiting }
            try #expect(!pool.shutDown(dropsQueued: true, until: .after(.milliseconds(2))))
            for call in calls.dropFirst() { #expect(throws: OffloadError.shutDown) { try call.value() } }
            #expect(throws: OffloadError.shutDown) { try waiting.value() }
            gate.open()
            try #expect(pool.shutDown())
            #expect(calls[0].hasEnded)
            #expect(pool.statistics.done == 1 && pool.statistics.withdrawn == 3)
        }
    }

    @Test func `shutDown waits for calls that were given up`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            #expect(throws: WaitError.deadlinePassed) { try pool.run(until: .after(.milliseconds(5))) { gate.pass() } }
            try #expect(!pool.shutDown(until: .after(.milliseconds(2))))
            gate.open()
            try #expect(pool.shutDown())
        }
    }

    @Test func `a kill ends the wait of shutDown, and the pool stays shut down`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit { gate.pass() }
            let closer = spawn { try pool.shutDown() }
            try Greenlet.yield()
            closer.kill()
            #expect(throws: GreenletExit()) { try closer.value() }
            #expect(throws: OffloadError.shutDown) { try pool.submit {} }
            gate.open()
            try call.value()
        }
    }

    @Test func `a pool without calls is shut down at once`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try #expect(pool.shutDown(until: .now))
            try #expect(pool.shutDown(dropsQueued: true))
        }
    }

    // MARK: withOffloadPool

    @Test func `withOffloadPool waits for its calls, their onEnd bodies, and what those submit`() throws {
        try onHub {
            var ends: [Int] = []
            let value = try withOffloadPool(limit: 2) { pool in
                for number in 0..<4 {
                    let call = try pool.submit {
                        block(courseSeconds: 0.1)
                        return number
                    }
                    call.onEnd { result in
                        try Greenlet.sleep(for: .milliseconds(1))
                        ends.append(try result.get())
                        if number == 3 {
                            try pool.submit { 4 }.onEnd { result in
                                try Greenlet.sleep(for: .milliseconds(2))
                                ends.append(try result.get())
                            }
                        }
                    }
                }
                #expect(ends.isEmpty)
                return 7
            }
            #expect(value == 7)
            #expect(ends.sorted() == [0, 1, 2, 3, 4])
        }
    }

    @Test func `an error of the body drops what has not begun, waits for what runs, and is thrown`() throws {
        try onHub {
            let gate = Gate()
            let begun = Atomic(0)
            var ends: [Bool] = []
            var kept: OffloadPool?
            let opener = spawn {
                try eventuallyOnHub { gate.waiting == 1 }
                try Greenlet.sleep(for: .milliseconds(5))
                gate.open()
            }
            #expect(throws: Failure(5)) {
                try withOffloadPool(limit: 1) { pool in
                    kept = pool
                    for _ in 0..<3 {
                        let call = try pool.submit {
                            begun.add(1, ordering: .relaxed)
                            gate.pass()
                        }
                        call.onEnd { result in ends.append((try? result.get()) != nil) }
                    }
                    try eventuallyOnHub { gate.waiting == 1 }
                    throw Failure(5)
                }
            }
            // The two that had not begun ended first.
            #expect(ends == [false, false, true])
            #expect(begun.load(ordering: .relaxed) == 1)
            #expect(throws: OffloadError.shutDown) { try kept!.submit {} }
            try opener.value()
        }
    }

    @Test func `a kill at its end drops what has not begun, and waits for what runs`() throws {
        try onHub {
            let gate = Gate()
            let ended = Atomic(0)
            let scope = spawn {
                try withOffloadPool(limit: 1) { pool in
                    for _ in 0..<3 {
                        try pool.submit {
                            gate.pass()
                            ended.add(1, ordering: .relaxed)
                        }
                    }
                }
            }
            try eventuallyOnHub { gate.waiting == 1 }
            scope.kill()
            try #expect(!scope.join(until: .after(.milliseconds(5))))
            gate.open()
            #expect(throws: GreenletExit()) { try scope.value() }
            #expect(ended.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `a time limit ends it as a kill does`() throws {
        try onHub {
            let ended = Atomic(0)
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(5)) {
                    try withOffloadPool(limit: 1) { pool in
                        for _ in 0..<100 {
                            try pool.submit {
                                block(courseSeconds: 0.5)
                                ended.add(1, ordering: .relaxed)
                            }
                        }
                    }
                }
            }
            #expect(ended.load(ordering: .relaxed) < 100)
        }
    }
}
