import GreenNet
import TestSupport
import Testing

struct TimeLimitTests {
    @Test func `withTimeout returns the value of a body that is in time`() throws {
        try onHub {
            let first = try withTimeout(.seconds(60)) { 1 }
            #expect(first == 1)
            let second = try withTimeout(.seconds(60)) {
                try Greenlet.sleep(for: .milliseconds(1))
                return 2
            }
            #expect(second == 2)
        }
    }

    @Test func `an error of the body comes out as it is`() throws {
        try onHub {
            #expect(throws: Failure(1)) { try withTimeout(.seconds(60)) { throw Failure(1) } }
            // The deadline of a call inside is not taken for the limit either.
            let target = spawn { try Greenlet.sleep(for: .milliseconds(20)) }
            #expect(throws: WaitError.deadlinePassed) {
                try withTimeout(.seconds(60)) { try target.value(until: .after(.milliseconds(1))) }
            }
        }
    }

    @Test func `a wait ends when the time is over, not before, and TimedOut names the limit`() throws {
        try onHub {
            let length = elapsed {
                let error = #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(20)) { try Greenlet.sleep(for: .seconds(60)) }
                }
                #expect(error?.limit.duration == .milliseconds(20))
                #expect(error?.description == "timed out after 0.02 seconds")
            }
            #expect(length >= .milliseconds(20))
            #expect(length < .milliseconds(20) + slack)
        }
    }

    @Test func `each kind of wait is ended`() throws {
        try onHub {
            let endless = spawn { try Greenlet.sleep(for: .seconds(60)) }
            func expectTimeout(_ body: () throws -> Void) {
                #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2), body) }
            }
            expectTimeout { try Greenlet.sleep(for: .seconds(60)) }
            expectTimeout { try endless.join() }
            expectTimeout { try endless.join(until: .after(.seconds(60))) }
            expectTimeout { try endless.value() }
            expectTimeout { try Hub.current.run() }
            expectTimeout { while true { try Greenlet.yield() } }
            endless.kill()
        }
    }

    @Test func `a limit ends a wait among endless loops of other green threads`() throws {
        try onHub {
            let others = (0..<10).map { _ in spawn { while true { try Greenlet.yield() } } }
            let length = elapsed {
                #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(10)) { try Greenlet.sleep(for: .seconds(60)) }
                }
            }
            #expect(length < .milliseconds(10) + slack)
            for other in others { other.kill() }
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(-1), .seconds(Int64.min)])
    func `with no time at all, the first wait throws`(length: Duration) throws {
        try onHub {
            var hasWaited = false
            #expect(throws: TimedOut.self) {
                try withTimeout(length) {
                    defer { hasWaited = true }
                    try Greenlet.sleep(for: .seconds(60))
                }
            }
            #expect(hasWaited)
            #expect(throws: TimedOut.self) { try withTimeout(length) { try Greenlet.yield() } }
        }
    }

    @Test func `a body that doesn't wait is not interrupted`() throws {
        try onHub {
            let first = try withTimeout(.zero) { 3 }
            #expect(first == 3)
            let second = try withTimeout(.milliseconds(1)) {
                burn(.milliseconds(3))
                return 4
            }
            #expect(second == 4)
        }
    }

    @Test func `an endless duration is no limit`() throws {
        try onHub {
            try withTimeout(.seconds(Int64.max)) { try Greenlet.sleep(for: .milliseconds(1)) }
        }
    }

    @Test func `a body that catches the error and returns gives its value`() throws {
        try onHub {
            let value = try withTimeout(.milliseconds(2)) {
                do { try Greenlet.sleep(for: .seconds(60)) } catch { return "caught" }
                return "slept"
            }
            #expect(value == "caught")
        }
    }

    @Test func `when the time is over, every later wait inside throws too`() throws {
        try onHub {
            var endings = 0
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(2)) {
                    for _ in 0..<3 {
                        do { try Greenlet.sleep(for: .seconds(60)) } catch { endings += 1 }
                        do { try Greenlet.yield() } catch { endings += 1 }
                    }
                    try Greenlet.sleep(for: .milliseconds(1))
                }
            }
            #expect(endings == 6)
        }
    }

    @Test func `a limit has no effect after its withTimeout`() throws {
        try onHub {
            _ = try? withTimeout(.milliseconds(1)) { try Greenlet.sleep(for: .seconds(60)) }
            try Greenlet.sleep(for: .milliseconds(5))
            try withTimeout(.milliseconds(5)) {}
            let length = try elapsed { try Greenlet.sleep(for: .milliseconds(20)) }
            #expect(length >= .milliseconds(20))
            try Greenlet.yield()
        }
    }

    // MARK: Nested

    @Test func `an outer limit that is over first ends the inner one too and is named`() throws {
        try onHub {
            var innerError: (any Error)?
            let error = #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(5)) {
                    do {
                        try withTimeout(.seconds(60)) { try Greenlet.sleep(for: .seconds(60)) }
                    } catch {
                        innerError = error
                        throw error
                    }
                }
            }
            #expect(error?.limit.duration == .milliseconds(5))
            // The inner one saw an error that isn't its own.
            #expect(innerError is WaitError)
        }
    }

    @Test func `an inner limit that is over first ends only the waits inside it`() throws {
        try onHub {
            let value = try withTimeout(.seconds(60)) {
                let error = #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(5)) { try Greenlet.sleep(for: .seconds(60)) }
                }
                #expect(error?.limit.duration == .milliseconds(5))
                try Greenlet.sleep(for: .milliseconds(10))
                return 6
            }
            #expect(value == 6)
        }
    }

    @Test func `the outer limit still counts after the inner one is over`() throws {
        try onHub {
            let length = elapsed {
                let error = #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(30)) {
                        _ = try? withTimeout(.milliseconds(5)) { try Greenlet.sleep(for: .seconds(60)) }
                        try Greenlet.sleep(for: .seconds(60))
                    }
                }
                #expect(error?.limit.duration == .milliseconds(30))
            }
            #expect(length >= .milliseconds(30))
            #expect(length < .milliseconds(30) + slack)
        }
    }

    @Test func `if both limits are over, the outer one is named`() throws {
        try onHub {
            let error = #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(2)) {
                    try withTimeout(.milliseconds(1)) {
                        burn(.milliseconds(5))
                        try Greenlet.yield()
                    }
                }
            }
            #expect(error?.limit.duration == .milliseconds(2))
        }
    }

    @Test func `limits of the same duration are told apart`() throws {
        try onHub {
            var limits: Set<TimeLimit> = []
            for _ in 0..<3 {
                do {
                    try withTimeout(.zero) { try Greenlet.yield() }
                } catch let error as TimedOut {
                    limits.insert(error.limit)
                }
            }
            #expect(limits.count == 3)
        }
    }

    @Test func `a limit applies to one green thread`() throws {
        try onHub {
            let sleeper = spawn { try elapsed { try Greenlet.sleep(for: .milliseconds(30)) } }
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(5)) { try sleeper.join() }
            }
            try #expect(sleeper.value() >= .milliseconds(30))
            // A green thread that is spawned inside doesn't inherit the limit.
            let inside = try withTimeout(.milliseconds(5)) {
                spawn { try elapsed { try Greenlet.sleep(for: .milliseconds(30)) } }
            }
            try #expect(inside.value() >= .milliseconds(30))
        }
    }

    @Test func `a green thread that ends by its own limit has failed with TimedOut`() throws {
        try onHub {
            let greenlet = spawn {
                try withTimeout(.milliseconds(1)) { try Greenlet.sleep(for: .seconds(60)) }
            }
            #expect(throws: TimedOut.self) { try greenlet.value() }
            #expect(greenlet.state == .failed)
        }
    }

    // MARK: Shielded

    @Test func `a limit has no effect inside shielded, and takes effect after it`() throws {
        try onHub {
            var trace: [String] = []
            let length = elapsed {
                #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(5)) {
                        try shielded { try Greenlet.sleep(for: .milliseconds(20)) }
                        trace.append("cleaned up")
                        try Greenlet.yield()
                        trace.append("never")
                    }
                }
            }
            #expect(trace == ["cleaned up"])
            #expect(length >= .milliseconds(20))
        }
    }

    @Test func `a limit inside shielded counts`() throws {
        try onHub {
            let error = #expect(throws: TimedOut.self) {
                try withTimeout(.zero) {
                    try shielded {
                        try withTimeout(.milliseconds(5)) { try Greenlet.sleep(for: .seconds(60)) }
                    }
                }
            }
            #expect(error?.limit.duration == .milliseconds(5))
        }
    }

    @Test func `the cleanup of a killed green thread can be limited`() throws {
        try onHub {
            var ending: (any Error)?
            let greenlet = spawn {
                defer {
                    do {
                        try shielded { try withTimeout(.milliseconds(5)) { try Greenlet.sleep(for: .seconds(60)) } }
                    } catch {
                        ending = error
                    }
                }
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            greenlet.kill()
            try greenlet.join()
            #expect(ending is TimedOut)
        }
    }
}
