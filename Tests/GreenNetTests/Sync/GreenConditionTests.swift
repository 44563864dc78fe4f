import TestSupport
import Testing

@testable import GreenNet

struct GreenConditionTests {
    @Test func `a wait releases the lock, and acquires it again as deep as before`() throws {
        try onHub {
            let condition = GreenCondition()
            let lock = condition.lock
            let waiter = spawn {
                try lock.withLock {
                    try lock.withLock { try #expect(condition.wait()) }
                    #expect(lock.isHeld)
                }
                #expect(!lock.isHeld)
            }
            try Greenlet.yield()
            try lock.withLock { condition.signal() }
            try waiter.value()
            #expect(!lock.isLocked)
        }
    }

    @Test func `a signal for several wakes those that have waited longest, or as many as wait`() async throws {
        try onHub {
            let condition = GreenCondition()
            var order: [Int] = []
            for number in 0..<10 {
                spawn {
                    try condition.lock.withLock { try condition.wait() }
                    order.append(number)
                }
            }
            try Greenlet.yield()
            for (count, woken) in [(0, 0), (3, 3), (1, 4), (.max, 10), (2, 10)] {
                condition.signal(count)
                for _ in 0..<20 { try Greenlet.yield() }
                #expect(order == Array(0..<woken))
            }
        }
        await #expect(processExitsWith: .failure) { GreenCondition().signal(-1) }
    }

    @Test func `a signal wakes the green thread that has waited longest, broadcast wakes all`() throws {
        try onHub {
            let condition = GreenCondition()
            var order: [Int] = []
            for number in 0..<5 {
                spawn {
                    try condition.lock.withLock { try condition.wait() }
                    order.append(number)
                }
            }
            try Greenlet.yield()
            for expected in [[0], [0, 1], [0, 1, 2, 3, 4]] {
                if expected.count == 5 { condition.broadcast() } else { condition.signal() }
                for _ in 0..<10 { try Greenlet.yield() }
                #expect(order == expected)
            }
        }
    }

    @Test func `wait(for:) waits until its condition is true`() throws {
        try onHub {
            let condition = GreenCondition()
            var number = 0
            let waiter = spawn { try condition.lock.withLock { try condition.wait { number == 3 } } }
            for _ in 0..<3 {
                try Greenlet.yield()
                #expect(!waiter.hasEnded)
                try condition.lock.withLock {
                    number += 1
                    condition.broadcast()
                }
            }
            try #expect(waiter.value())
            try condition.lock.withLock {
                try #expect(!condition.wait(until: .after(.milliseconds(2))) { number == 4 })
                try #expect(!condition.wait(until: .after(.milliseconds(2))))
                #expect(condition.lock.isHeld)
            }
        }
    }

    @Test func `a killed green thread holds the lock again before it unwinds`() throws {
        try onHub {
            let condition = GreenCondition()
            var trace: [String] = []
            let waiter = spawn {
                try condition.lock.withLock {
                    defer { trace.append("unwinds, holds it: \(condition.lock.isHeld)") }
                    try condition.wait()
                }
            }
            try Greenlet.yield()
            try condition.lock.withLock {
                waiter.kill()
                for _ in 0..<3 { try Greenlet.yield() }
                trace.append("lets go")
            }
            try waiter.join()
            #expect(waiter.state == .killed)
            #expect(trace == ["lets go", "unwinds, holds it: true"])
            #expect(!condition.lock.isLocked)
        }
    }

    @Test func `a signal after a kill or a deadline goes to the next green thread`() throws {
        try onHub {
            let condition = GreenCondition()
            func waits() -> Greenlet<Bool> {
                spawn { try condition.lock.withLock { try condition.wait() } }
            }
            let (first, second) = (waits(), waits())
            try Greenlet.yield()
            first.kill()
            condition.signal()
            try #expect(second.value())
            // If the kill follows the signal, the signal counts.
            let third = waits()
            try Greenlet.yield()
            condition.signal()
            third.kill()
            try #expect(third.value())
        }
    }

    @Test func `a time limit ends the wait with TimedOut`() throws {
        try onHub {
            let condition = GreenCondition()
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(1)) { try condition.lock.withLock { try condition.wait() } }
            }
            #expect(!condition.lock.isLocked)
        }
    }

    @Test func `a wait that nothing can end is reported`() throws {
        try onHub {
            let condition = GreenCondition()
            let error = #expect(throws: WaitError.self) {
                try condition.lock.withLock { try condition.wait() }
            }
            guard case .blockedForever(let list) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(list.waiting.contains("waits for a condition to be signalled"))
            #expect(!condition.lock.isLocked)
        }
    }
}
