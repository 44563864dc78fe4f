import TestSupport
import Testing

@testable import GreenNet

struct TickerTests {
    @Test func `moments do not drift, however long the caller works between them`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let ticker = Ticker(every: .seconds(1))
            for tick in 1...100 {
                try #expect(ticker.next() == 1)
                let late = .now - start - .seconds(tick)
                #expect(late >= .zero && late < .milliseconds(1))
                try Greenlet.sleep(for: .milliseconds(tick * 9))
            }
        }
    }

    @Test func `a late caller is told at once how many moments have come, and waits for the next one then`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let ticker = Ticker(every: .seconds(10))
            try Greenlet.sleep(until: start + .seconds(35))
            try #expect(ticker.next() == 3)
            #expect(.now - start < .seconds(36))
            try #expect(ticker.next() == 1)
            #expect(.now - start >= .seconds(40) && .now - start < .seconds(41))
        }
    }

    @Test func `a kill or a limit ends the wait, and the moment counts for the next call`() throws {
        try onVirtualHub {
            let ticker = Ticker(every: .seconds(10))
            #expect(throws: TimedOut.self) { try withTimeout(.seconds(4)) { try ticker.next() } }
            let killed = spawn { try ticker.next() }
            try Greenlet.sleep(for: .seconds(5))
            killed.kill()
            try killed.join()
            #expect(killed.state == .killed)
            try Greenlet.sleep(for: .seconds(12))
            try #expect(ticker.next() == 2)
        }
    }

    @Test func `a caller that is always late gives way now and then, and a kill ends it`() throws {
        try onHub {
            let ticker = Ticker(every: .nanoseconds(1))
            let ticking = spawn { while true { _ = try ticker.next() } }
            for _ in 0..<3 { try Greenlet.yield() }
            ticking.kill()
            try ticking.join()
            #expect(ticking.state == .killed)
        }
    }

    @Test func `the longest interval waits for ever, and none below 1 ns is taken`() async throws {
        try onVirtualHub {
            let ticker = Ticker(every: .seconds(Int64.max))
            #expect(throws: TimedOut.self) { try withTimeout(.seconds(1_000_000_000)) { try ticker.next() } }
        }
        await #expect(processExitsWith: .failure) { _ = Ticker(every: .zero) }
        await #expect(processExitsWith: .failure) { _ = Ticker(every: .nanoseconds(-1)) }
        await #expect(processExitsWith: .failure) {
            _ = Ticker(every: Duration(secondsComponent: 0, attosecondsComponent: 1))
        }
    }
}
