import TestSupport
import Testing

@testable import GreenNet

struct RetryTests {
    @Test func `it returns the value of the first attempt that succeeds`() throws {
        try onVirtualHub {
            var attempts = 0
            let value = try retry(attempts: 10) {
                attempts += 1
                if attempts < 4 { throw Failed(attempt: attempts) }
                return "done"
            }
            #expect(value == "done" && attempts == 4)
        }
    }

    @Test(arguments: [1, 2, 5])
    func `after the given number of attempts it throws the error of the last one`(limit: Int) throws {
        try onVirtualHub {
            var attempts = 0
            #expect(throws: Failed(attempt: limit)) {
                try retry(attempts: limit) {
                    attempts += 1
                    throw Failed(attempt: attempts)
                }
            }
            #expect(attempts == limit)
        }
    }

    @Test
    func `pauses double from the first to the longest, each shortened by up to a half, with other parts for each seed`()
        throws
    {
        try onOSThread {
            var drawn: Set<[Int64]> = []
            for seed in UInt64(0)..<20 {
                Hub.startVirtual(seed: seed)
                let starts = self.starts(of: 6, first: .milliseconds(100), longest: .seconds(1))
                Hub.current.close()
                let pauses = zip(starts.dropFirst(), starts).map { ($0 - $1).nanoseconds }
                for (pause, whole) in zip(pauses, [100, 200, 400, 800, 1000] as [Int64]) {
                    // A pass of a virtual hub takes time, too.
                    #expect(pause >= whole * 500_000 && pause <= whole * 1_000_000 + 100_000)
                }
                drawn.insert(pauses)
            }
            #expect(drawn.count == 20)
        }
    }

    @Test func `without a first pause, attempts follow each other at once`() throws {
        try onVirtualHub {
            let starts = self.starts(of: 100, first: .zero, longest: .seconds(1))
            #expect(starts.last! - starts.first! < .milliseconds(10))
        }
    }

    /// When each attempt has begun.
    private func starts(of attempts: Int, first: Duration, longest: Duration) -> [Deadline] {
        var starts: [Deadline] = []
        _ = try? retry(attempts: attempts, first: first, longest: longest) {
            starts.append(.now)
            throw Failed(attempt: 0)
        }
        return starts
    }

    @Test func `no attempt begins after the deadline, and the pause before it is not waited for`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let deadline = start + .seconds(10)
            var last = start
            #expect(throws: Failed.self) {
                try retry(first: .seconds(1), longest: .seconds(4), until: deadline) {
                    last = .now
                    throw Failed(attempt: 0)
                }
            }
            #expect(last <= deadline && .now == last)
            #expect(throws: Failed.self) { try retry(until: .now) { throw Failed(attempt: 1) } }
        }
    }

    @Test func `an error that is not worth another attempt is thrown at once`() throws {
        try onVirtualHub {
            var attempts = 0
            #expect(throws: Failed(attempt: 2)) {
                try retry(if: { ($0 as? Failed)?.attempt != 2 }) {
                    attempts += 1
                    throw Failed(attempt: attempts)
                }
            }
            #expect(attempts == 2)
        }
    }

    @Test func `a kill is never retried, in an attempt, in a pause, or behind another error`() throws {
        try onVirtualHub {
            for hides in [false, true] {
                var attempts = 0
                let retrying = spawn {
                    try retry(first: .seconds(2), longest: .seconds(2)) {
                        attempts += 1
                        if attempts == 1 { throw Failed(attempt: 1) }
                        do { try Greenlet.sleep(for: .seconds(100)) } catch { throw hides ? Failed(attempt: 2) : error }
                    }
                }
                try Greenlet.sleep(for: .seconds(10))
                retrying.kill()
                try retrying.join()
                #expect(attempts == 2 && retrying.hasEnded)
                _ = retrying.result
            }
            let pausing = spawn { try retry(first: .seconds(10), longest: .seconds(10)) { throw Failed(attempt: 1) } }
            try Greenlet.sleep(for: .seconds(1))
            pausing.kill()
            try pausing.join()
            #expect(pausing.state == .killed)
        }
    }

    @Test func `the end of an enclosing limit and a cancellation are never retried`() throws {
        try onVirtualHub {
            var attempts = 0
            #expect(throws: TimedOut.self) {
                try withTimeout(.seconds(5)) {
                    try retry {
                        attempts += 1
                        try Greenlet.sleep(for: .seconds(100))
                    }
                }
            }
            #expect(attempts == 1)
            for error in [CancellationError(), GreenletExit(), WaitError.cancelled] as [any Error] {
                attempts = 0
                #expect(throws: (any Error).self) {
                    try retry {
                        attempts += 1
                        throw error
                    }
                }
                #expect(attempts == 1)
            }
            // A limit of the attempt's own is an error as any other.
            attempts = 0
            #expect(throws: TimedOut.self) {
                try retry(attempts: 3) {
                    attempts += 1
                    try withTimeout(.seconds(1)) { try Greenlet.sleep(for: .seconds(2)) }
                }
            }
            #expect(attempts == 3)
        }
    }

    @Test func `numbers out of range stop the program`() async {
        await #expect(processExitsWith: .failure) { try onHub { try retry(attempts: 0) {} } }
        await #expect(processExitsWith: .failure) { try onHub { try retry(attempts: .min) {} } }
        await #expect(processExitsWith: .failure) { try onHub { try retry(first: .nanoseconds(-1)) {} } }
        await #expect(processExitsWith: .failure) {
            try onHub { try retry(first: .seconds(2), longest: .seconds(1)) {} }
        }
    }
}

private struct Failed: Error, Equatable {
    let attempt: Int
}
