import GreenNet
import TestSupport
import Testing

struct GreenEventTests {
    @Test func `wait returns at once while the event is set, however often it is called`() throws {
        try onHub {
            let event = GreenEvent()
            #expect(!event.isSet)
            event.set()
            #expect(event.isSet)
            for _ in 0..<3 {
                try #expect(event.wait())
                try #expect(event.wait(until: .now + .seconds(-1)))
            }
        }
    }

    @Test(arguments: [1, 100, 1000])
    func `set wakes all waiting green threads, first come first served`(count: Int) throws {
        try onHub {
            let event = GreenEvent()
            var order: [Int] = []
            for number in 0..<count {
                spawn {
                    try #expect(event.wait())
                    order.append(number)
                }
            }
            try Greenlet.yield()
            #expect(order.isEmpty)
            event.set()
            event.set()
            try Hub.current.run()
            #expect(order == Array(0..<count))
        }
    }

    @Test func `green threads that wait when the event is set are woken even if it is cleared before they run`() throws
    {
        try onHub {
            let event = GreenEvent()
            let waiters = (0..<10).map { _ in spawn { try event.wait() } }
            try Greenlet.yield()
            event.set()
            event.clear()
            for waiter in waiters { try #expect(waiter.value()) }
            // A later call has to wait again.
            try #expect(!event.wait(until: .after(.milliseconds(2))))
        }
    }

    @Test func `wait returns false at its deadline`() throws {
        try onHub {
            let event = GreenEvent()
            let length = try elapsed {
                try #expect(!event.wait(until: .after(.milliseconds(5))))
            }
            #expect(length >= .milliseconds(5))
            #expect(length < .milliseconds(5) + slack)
        }
    }

    @Test func `a green thread that gave up leaves the others waiting`() throws {
        try onHub {
            let event = GreenEvent()
            let (first, second, third) = (
                spawn { try event.wait() },
                spawn { try event.wait(until: .after(.milliseconds(2))) },
                spawn { try event.wait() }
            )
            try #expect(!second.value())
            event.set()
            try #expect(first.value())
            try #expect(third.value())
        }
    }

    @Test func `a kill or a time limit ends the wait`() throws {
        try onHub {
            let event = GreenEvent()
            let killed = spawn { try event.wait() }
            let limited = spawn { try withTimeout(.milliseconds(2)) { try event.wait() } }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try limited.value() }
            event.set()
        }
    }

    @Test func `an outer limit without time interrupts the wait even if the event is about to be set`() throws {
        try onHub {
            let event = GreenEvent()
            #expect(throws: TimedOut.self) {
                try withTimeout(.zero) {
                    spawn {
                        try Greenlet.sleep(for: .milliseconds(10))
                        event.set()
                    }
                    try event.wait()
                }
            }
            try #expect(event.wait())
        }
    }
}
