import Glibc
import GreenNet
import TestSupport
import Testing

@testable import GreenNet

/// Sleeping, deadlines and the timers behind them.
struct SleepTests {
    @Test func `sleepers wake in the order of their durations, and not too early`() throws {
        try onHub {
            var order: [Int] = []
            var random = SeededRandom(seed: 1)
            // All deadlines count from one moment, so that the time of spawning does not disturb the order.
            let start = Deadline.after(.milliseconds(20) * Sanitizer.slowness)
            for number in (1...100).shuffled(using: &random) {
                spawn {
                    try Greenlet.sleep(until: start + .milliseconds(number))
                    #expect(.now - start >= .milliseconds(number))
                    order.append(number)
                }
            }
            try Hub.current.run()
            #expect(order == Array(1...100))
            #expect(.now - start < .milliseconds(100) + slack)
        }
    }

    @Test(arguments: [1, 100, 999_999, 1_000_000, 1_000_001, 10_000_000])
    func `a sleep is never shorter than its duration`(nanoseconds: Int) throws {
        try onHub {
            for _ in 0..<10 {
                let length = try elapsed { try Greenlet.sleep(for: .nanoseconds(nanoseconds)) }
                #expect(length >= .nanoseconds(nanoseconds))
                #expect(length < .nanoseconds(nanoseconds) + slack)
            }
        }
    }

    @Test func `the time before a sleep doesn't count, though the loop hasn't looked at the clock`() throws {
        try onHub {
            for _ in 0..<3 {
                burn(.milliseconds(15))
                let length = try elapsed { try Greenlet.sleep(for: .milliseconds(10)) }
                #expect(length >= .milliseconds(10))
            }
        }
    }

    @Test func `a sleep until a moment in the past returns`() throws {
        try onHub {
            let length = try elapsed {
                try Greenlet.sleep(until: .now)
                try Greenlet.sleep(until: .now + .seconds(-5))
                try Greenlet.sleep(until: .now + .seconds(Int64.min))
            }
            #expect(length < slack)
        }
    }

    @Test func `a left-over timer doesn't end a later wait too early`() throws {
        try onHub {
            // The left-over timer is due 20 ms from now at the latest, in the middle of the sleep.
            let soon = spawn {}
            try #expect(soon.join(until: .after(.milliseconds(20))))
            let length = try elapsed { try Greenlet.sleep(for: .milliseconds(40)) }
            #expect(length >= .milliseconds(40))
        }
    }

    @Test func `a left-over timer doesn't make a later wait too long`() throws {
        try onHub {
            let soon = spawn {}
            try #expect(soon.join(until: .after(.seconds(60))))
            let length = try elapsed { try Greenlet.sleep(for: .milliseconds(5)) }
            #expect(length < .milliseconds(5) + slack)
        }
    }

    @Test func `a left-over timer doesn't end a wait without deadline`() throws {
        try onHub {
            let soon = spawn {}
            try #expect(soon.join(until: .after(.milliseconds(2))))
            let later = spawn { try Greenlet.sleep(for: .milliseconds(20)) }
            try #expect(later.join())
            #expect(later.hasEnded)
        }
    }

    @Test func `a deadline that moves on with each wait doesn't restart the timer`() throws {
        try onHub {
            let hub = Hub.current.scheduler
            var due: Deadline?
            for _ in 0..<1000 {
                try spawn {}.join(until: .after(.seconds(60)))
                let next = hub.fields.pointee.alarm.pointee.due
                #expect(next != .never && hub.fields.pointee.deadlines.earliest == next)
                if let due { #expect(next == due) }
                due = next
            }
        }
    }

    @Test(arguments: [10, 100, 500, 1500, 5000])
    func `a short sleep is late by less than the millisecond in which libev counts`(microseconds: Int) throws {
        try onHub {
            #expect(Hub.current.scheduler.loop.isPrecise)
            let length = Duration.microseconds(microseconds)
            let late = try (0..<51).map { _ in try elapsed { try Greenlet.sleep(for: length) } - length }.sorted()
            #expect(late[0] >= .zero)
            // Not all: this OS thread may not have its turn.
            #expect(late[10] < .microseconds(400) * Sanitizer.slowness, "\(late[10]), \(late[25]), \(late[40])")
        }
    }

    @Test func `a job from another OS thread, and bytes, come while the hub naps`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let remote = Hub.current.remote
            var waits: [Duration] = []
            for _ in 0..<30 {
                // The nap that begins now.
                let sleeper = spawn { try Greenlet.sleep(for: .milliseconds(9)) }
                let (start, came) = (Deadline.now, GreenEvent())
                nonisolated(unsafe) let (event, connection) = (came, other)
                let thread = TestThread {
                    usleep(200)
                    _ = remote.callInHub {
                        event.set()
                        spawn { try connection.sendAll([1]) }
                    }
                }
                try came.wait()
                _ = try one.receive(exactly: 1)
                waits.append(.now - start)
                try thread.value()
                sleeper.kill()
                try sleeper.join()
            }
            // To the end of the nap it would be nine each time.
            #expect(waits.sorted()[5] < .milliseconds(6) * Sanitizer.slowness, "\(waits.sorted())")
        }
    }

    @Test func `a hub whose near moment has come sleeps until the next one, and uses no processor time`() throws {
        try onHub {
            try Greenlet.sleep(for: .milliseconds(1))
            let before = ownProcessorTime()
            try Greenlet.sleep(for: .milliseconds(300))
            #expect(ownProcessorTime() - before < .milliseconds(30) * Sanitizer.slowness)
        }
    }

    @Test func `an earlier deadline restarts the timer`() throws {
        try onHub {
            for length in [30, 20, 10, 5, 1] {
                let target = spawn { try Greenlet.sleep(for: .seconds(60)) }
                let took = try elapsed {
                    try #expect(!target.join(until: .after(.milliseconds(length))))
                }
                #expect(took >= .milliseconds(length))
                #expect(took < .milliseconds(length) + slack)
                target.kill()
                try target.join(until: .after(.seconds(60)))
            }
        }
    }

    @Test func `timers end with their green threads`() throws {
        try onHub {
            // Timers that outlive their green threads would fire into memory that has other owners by then.
            for round in 0..<20 {
                for _ in 0..<200 {
                    spawn { try spawn {}.join(until: .after(.milliseconds(5))) }
                }
                try Hub.current.run()
                if round % 5 == 0 { try Greenlet.sleep(for: .milliseconds(10)) }
            }
        }
    }

    @Test func `sleepers don't starve while other green threads are always ready`() throws {
        try onHub {
            let busy = (0..<3).map { _ in spawn { while true { try Greenlet.yield() } } }
            let length = try elapsed { try Greenlet.sleep(for: .milliseconds(10)) }
            #expect(length >= .milliseconds(10))
            #expect(length < .milliseconds(10) + slack)
            for greenlet in busy { greenlet.kill() }
        }
    }
}
