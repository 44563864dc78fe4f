import TestSupport
import Testing

@testable import GreenNet

struct GreenResultTests {
    @Test func `all waiting green threads get the value, and so do later ones`() throws {
        try onHub {
            let result = GreenResult<Int>()
            #expect(!result.isSet)
            let waiters = (0..<5).map { _ in spawn { try result.value() } }
            try Greenlet.yield()
            #expect(result.set(7))
            for waiter in waiters { try #expect(waiter.value() == 7) }
            try #expect(result.value(until: .now) == 7)
            try #expect(result.wait())
        }
    }

    @Test func `the error that was set is thrown to every caller, each time`() throws {
        try onHub {
            let result = GreenResult<Int>()
            let given = FailureObject()
            let waiter = spawn { try result.value() }
            try Greenlet.yield()
            result.fail(given)
            for _ in 0..<2 {
                let first = #expect(throws: FailureObject.self) { try waiter.value() }
                let second = #expect(throws: FailureObject.self) { try result.value() }
                #expect(first === given && second === given)
            }
            // A wait does not throw the error.
            try #expect(result.wait())
        }
    }

    @Test func `the first result counts`() throws {
        try onHub {
            let result = GreenResult<Int>()
            #expect(result.set(1))
            #expect(!result.set(2))
            #expect(!result.fail(Failure(3)))
            try #expect(result.value() == 1)
        }
    }

    @Test func `if the result is not set at the deadline, wait returns false and value throws`() throws {
        try onHub {
            let result = GreenResult<Int>()
            try #expect(!result.wait(until: .now))
            try #expect(!result.wait(until: .after(.milliseconds(2))))
            #expect(throws: WaitError.deadlinePassed) { try result.value(until: .now) }
            #expect(throws: WaitError.deadlinePassed) { try result.value(until: .after(.milliseconds(2))) }
        }
    }

    @Test func `a kill or a time limit ends the wait`() throws {
        try onHub {
            let result = GreenResult<Int>()
            let killed = spawn { try result.value() }
            let limited = spawn { try withTimeout(.milliseconds(2)) { try result.value() } }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try limited.value() }
        }
    }

    @Test func `an outer limit interrupts the wait even if the value is about to be set`() throws {
        try onHub {
            let result = GreenResult<Int>()
            #expect(throws: TimedOut.self) {
                try withTimeout(.zero) {
                    spawn {
                        try Greenlet.sleep(for: .milliseconds(5))
                        result.set(1)
                    }
                    _ = try result.value()
                }
            }
            try #expect(result.value() == 1)
        }
    }

    @Test func `a value that was set before the kill counts`() throws {
        try onHub {
            let result = GreenResult<Int>()
            let waiter = spawn { try result.value() }
            try Greenlet.yield()
            result.set(4)
            waiter.kill()
            try #expect(waiter.value() == 4)
        }
    }

    @Test func `a result can be linked to a green thread, before and after its end`() throws {
        try onHub {
            let target = spawn { 6 }
            let results = (0..<3).map { _ in GreenResult<Int>() }
            target.link(to: results[0])
            try #expect(results[0].value() == 6)
            for result in results[1...] {
                target.link(to: result)
                try #expect(result.value() == 6)
            }
            let failing = spawn { () throws -> Int in throw Failure(1) }
            let result = GreenResult<Int>()
            failing.link(to: result)
            #expect(throws: Failure(1)) { try result.value() }
        }
    }
}
