import TestSupport
import Testing

@testable import GreenNet

struct RemoteResultTests {
    @Test func `a result that one OS thread sets wakes green threads of several hubs`() throws {
        try onHub {
            let result = RemoteResult<Int>()
            let waiting = RemoteChannel<Void>()
            let others = (0..<3).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    let waiters = (0..<5).map { _ in
                        spawn {
                            try waiting.put(())
                            return try result.value()
                        }
                    }
                    return try waiters.map { try $0.value() }
                }
            }
            for _ in 0..<15 { try waiting.take() }
            #expect(result.set(7))
            #expect(!result.set(8))
            for other in others { try #expect(other.value() == Array(repeating: 7, count: 5)) }
            try #expect(result.value() == 7)
        }
    }

    @Test func `a result that an OS thread without a hub sets wakes promptly`() throws {
        try onHub {
            let result = RemoteResult<Int>()
            let other = TestThread { result.set(1) }
            let length = try elapsed { try #expect(result.value(until: .after(.seconds(60))) == 1) }
            #expect(length < slack)
            try #expect(other.value())
        }
    }

    @Test func `value throws the error that was set`() throws {
        try onHub {
            let result = RemoteResult<Int>()
            result.fail(Failure(3))
            #expect(throws: Failure(3)) { try result.value() }
            try #expect(result.wait())
        }
    }

    @Test func `a deadline, a kill or a time limit ends the wait`() throws {
        try onHub {
            let result = RemoteResult<Int>()
            try #expect(!result.wait(until: .now))
            #expect(throws: WaitError.deadlinePassed) { try result.value(until: .after(.milliseconds(2))) }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { _ = try result.value() } }
            let killed = spawn { try result.value() }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            result.set(1)
            try #expect(result.value() == 1)
        }
    }

    @Test func `a result that was set before the kill counts`() throws {
        try onHub {
            let result = RemoteResult<Int>()
            let waiter = spawn { try result.value() }
            try Greenlet.yield()
            result.set(4)
            waiter.kill()
            try #expect(waiter.value() == 4)
        }
    }

    // MARK: On another hub

    @Test func `a hub runs a body for another and sets its result`() throws {
        try onHub {
            let door = RemoteResult<RemoteHub>()
            let isOver = RemoteResult<Void>()
            let other = TestThread {
                defer { Hub.current.close() }
                door.set(Hub.current.remote)
                try isOver.wait()
            }
            let remote = try door.value()
            let sum = remote.result(name: "sum") { () -> Int in
                try Greenlet.sleep(for: .milliseconds(1))
                return 1 + 2
            }
            let failing = remote.result { () -> Int in throw Failure(1) }
            try #expect(sum.value() == 3)
            #expect(throws: Failure(1)) { try failing.value() }
            isOver.set(())
            try other.value()
            // The other hub is closed by now.
            #expect(throws: WaitError.closed) { try remote.result { 1 }.value() }
        }
    }

    @Test func `a hub that closes sets all results it was asked for`() throws {
        try onHub {
            let door = RemoteResult<RemoteHub>()
            let other = TestThread {
                door.set(Hub.current.remote)
                for _ in 0..<3 { try Greenlet.yield() }
                Hub.current.close()
            }
            let remote = try door.value()
            let results = (0..<100).map { number in
                remote.result { () -> Int in
                    try Greenlet.sleep(for: .seconds(60))
                    return number
                }
            }
            for result in results { #expect(throws: WaitError.self) { try result.value() } }
            try other.value()
        }
    }
}
