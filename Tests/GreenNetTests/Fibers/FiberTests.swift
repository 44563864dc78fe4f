import TestSupport
import Testing

@testable import GreenNet

struct FiberTests {
    // MARK: Switching

    @Test func `two fibers play ping-pong by hand`() throws {
        try onHub {
            var trace: [String] = []
            let main = Fiber<Int>.current
            var pong: Fiber<Int>?
            let ping = Fiber<Int> { first in
                var ball = first
                while ball < 5 {
                    trace.append("ping \(ball)")
                    ball = try pong!.switchTo(ball + 1)
                }
                return ball
            }
            pong = Fiber<Int> { first in
                var ball = first
                while true {
                    trace.append("pong \(ball)")
                    ball = try ping.switchTo(ball + 1)
                }
            }
            try #expect(ping.switchTo(0) == 6)
            #expect(trace == ["ping 0", "pong 1", "ping 2", "pong 3", "ping 4", "pong 5"])
            #expect(ping.isDead && !pong!.isDead)
            #expect(Fiber<Int>.current === main)
        }
    }

    @Test func `values pass both ways, and the last is the value of the body`() throws {
        try onHub {
            let main = Fiber<String>.current
            let fiber = Fiber<String> { first in
                let second = try main.switchTo("got \(first)")
                return "ended with \(second)"
            }
            #expect(!fiber.isStarted && !fiber.isDead)
            try #expect(fiber.switchTo("one") == "got one")
            #expect(fiber.isStarted && !fiber.isDead)
            try #expect(fiber.switchTo("two") == "ended with two")
            #expect(fiber.isDead)
        }
    }

    @Test func `a switch to the current fiber returns the value`() throws {
        try onHub {
            try #expect(Fiber.current.switchTo(3) == 3)
            #expect(throws: Failure(1)) { try Fiber<Int>.current.throwInto(Failure(1)) }
        }
    }

    @Test func `a million switches leave the stacks as they were`() throws {
        try onHub {
            let main = Fiber<Int>.current
            let fiber = Fiber<Int> { first in
                var number = first
                while true { number = try main.switchTo(number + 1) }
            }
            var number = 0
            let count = Sanitizer.scaled(1_000_000, address: 50_000, thread: 20_000)
            for _ in 0..<count { number = try fiber.switchTo(number) }
            #expect(number == count)
        }
    }

    @Test func `values of every size and alignment pass both ways`() throws {
        try onHub {
            func check<Value>(_ values: [Value], _ isEqual: (Value, Value) -> Bool) throws {
                let main = Fiber<Value>.current
                let echo = Fiber<Value> { first in
                    var value = first
                    while true { value = try main.switchTo(value) }
                }
                for value in values { try #expect(isEqual(echo.switchTo(value), value)) }
                let once = Fiber<Value> { $0 }
                try #expect(isEqual(once.switchTo(values[0]), values[0]))
            }
            try check([(), ()]) { _, _ in true }
            try check([UInt8.min, .max], ==)
            try check(["", "a text that has memory of its own"], ==)
            try check([SIMD64<UInt8>(repeating: 1), SIMD64(repeating: 255)], ==)
            try check([1...3, nil], ==)
        }
    }

    @Test func `each value is released once, also that of a fiber that ends with no parent to take it`() throws {
        let count = ValueCount()
        try onHub {
            let main = Fiber<CountedValue?>.current
            let fiber = Fiber<CountedValue?> { first in
                var value = first
                while value != nil { value = try main.switchTo(CountedValue(count)) }
                return CountedValue(count)
            }
            for _ in 0..<3 { try #expect(fiber.switchTo(CountedValue(count)) != nil) }
            try #expect(fiber.switchTo(nil) != nil)
            try #expect(fiber.isDead && fiber.switchTo(CountedValue(count)) != nil)
            // Its parent waits for an event, and not for a switch.
            let event = GreenEvent()
            let parent = Fiber<CountedValue?> { _ in try event.wait() ? nil : nil }
            let asker = spawn {
                parent.parent = .current
                return try parent.switchTo(nil) == nil
            }
            try Greenlet.yield()
            let orphan = Fiber<CountedValue?>(parent: parent) { $0 }
            let other = spawn { try orphan.switchTo(CountedValue(count)) }
            try Greenlet.yield()
            #expect(orphan.isDead)
            other.kill()
            event.set()
            try #expect(asker.value())
            try other.join()
        }
        #expect(count.made == 9 && count.alive == 0)
    }

    // MARK: Parents and death

    @Test func `an error of the body is thrown in the parent`() throws {
        try onHub {
            let fiber = Fiber<Int> { _ in throw Failure(1) }
            #expect(throws: Failure(1)) { try fiber.switchTo(0) }
            #expect(fiber.isDead)
        }
    }

    @Test func `the value of an ended fiber goes to its parent, not to the fiber that switched to it`() throws {
        try onHub {
            let child = Fiber<Int> { $0 + 1 }
            let other = Fiber<Int> { number in
                _ = try child.switchTo(number)
                Issue.record("the child's parent is main")
                return 0
            }
            try #expect(other.switchTo(5) == 6)
            #expect(child.isDead && !other.isDead)
            // A fiber with a new parent continues there.
            let third = Fiber<Int>(parent: other) { $0 * 10 }
            let fourth = Fiber<Int> { number in try third.switchTo(number) }
            third.parent = fourth
            try #expect(fourth.switchTo(2) == 20)
        }
    }

    @Test func `the nearest living ancestor takes the place of a dead fiber`() throws {
        try onHub {
            let main = Fiber<Int>.current
            let child = Fiber<Int> { $0 }
            try #expect(child.switchTo(1) == 1)
            try #expect(child.switchTo(2) == 2)
            #expect(throws: Failure(3)) { try child.throwInto(Failure(3)) }
            let parent = Fiber<Int> { number in try main.switchTo(number) + 100 }
            let grandchild = Fiber<Int>(parent: parent) { _ in 0 }
            try #expect(parent.switchTo(1) == 1)
            // The grandchild dies, and its parent goes on.
            try #expect(grandchild.switchTo(2) == 100)
            #expect(parent.isDead)
        }
    }

    @Test func `a parent that has not begun begins with the value of its child`() throws {
        try onHub {
            let parent = Fiber<Int> { $0 + 1000 }
            let child = Fiber<Int>(parent: parent) { $0 + 1 }
            try #expect(child.switchTo(1) == 1002)
            let other = Fiber<Int> { $0 }
            let failing = Fiber<Int>(parent: other) { _ in throw Failure(1) }
            #expect(throws: Failure(1)) { try failing.switchTo(0) }
            #expect(other.isDead && !other.isStarted)
        }
    }

    @Test func `a fiber that would descend from itself stops the program`() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let parent = Fiber<Int> { $0 }
                let child = Fiber<Int>(parent: parent) { $0 }
                parent.parent = child
            }.value()
        }
        if let result { expectProgrammingError("a fiber can't descend from itself", in: result) }
    }

    // MARK: Throwing into

    @Test func `throwInto throws where the fiber waits, which may catch it and go on`() throws {
        try onHub {
            let main = Fiber<Int>.current
            let fiber = Fiber<Int> { _ in
                do {
                    _ = try main.switchTo(1)
                } catch let error as Failure {
                    return try main.switchTo(error.number)
                }
                return 0
            }
            try #expect(fiber.switchTo(0) == 1)
            try #expect(fiber.throwInto(Failure(7)) == 7)
            #expect(throws: GreenletExit()) { try fiber.throwInto() }
            #expect(fiber.isDead)
        }
    }

    @Test func `an error that is thrown into a fiber that has not begun goes to the parent`() throws {
        try onHub {
            let main = Fiber<Int>.current
            var caught: Failure?
            let parent = Fiber<Int> { _ in
                do { return try main.switchTo(1) } catch let error as Failure {
                    caught = error
                    return 2
                }
            }
            try #expect(parent.switchTo(0) == 1)
            let child = Fiber<Int>(parent: parent) { _ in
                Issue.record("it began")
                return 0
            }
            try #expect(child.throwInto(Failure(9)) == 2)
            #expect(caught == Failure(9))
            #expect(child.isDead && !child.isStarted)
        }
    }

    // MARK: The hub

    @Test func `a fiber may wait like a green thread, and can't be switched to meanwhile`() throws {
        try onHub {
            let fiber = Fiber<Int> { number in
                try Greenlet.sleep(for: .milliseconds(5))
                return number + 1
            }
            var error: (any Error)?
            spawn {
                try Greenlet.yield()
                do { _ = try fiber.switchTo(0) } catch let thrown { error = thrown }
            }
            try #expect(fiber.switchTo(1) == 2)
            #expect(error as? FiberError == .busy)
        }
    }

    @Test func `a kill or a time limit ends the wait of a fiber that has switched`() throws {
        try onHub {
            let fibers = (0..<2).map { _ in
                Fiber<Int> { _ in
                    try Greenlet.sleep(until: .never)
                    return 0
                }
            }
            let killed = spawn { try fibers[0].switchTo(0) }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { _ = try fibers[1].switchTo(0) } }
            for fiber in fibers { fiber.core.kill() }
        }
    }

    @Test func `a fiber that is released while it is suspended unwinds`() throws {
        try onHub {
            var trace: [String] = []
            let main = Fiber<Int>.current
            do {
                let fiber = Fiber<Int> { number in
                    defer { trace.append("unwound") }
                    return try main.switchTo(number)
                }
                try fiber.switchTo(1)
                // Never begun: nothing to unwind.
                _ = Fiber<Int> { _ in
                    trace.append("began")
                    return 0
                }
            }
            #expect(trace.isEmpty)
            try Greenlet.yield()
            #expect(trace == ["unwound"])
            #expect(!Hub.current.description.contains("fiber"))
        }
    }

    @Test func `the hub doesn't wait for fibers, but ends them when it closes`() throws {
        let trace = Trace()
        try onOSThread {
            let main = Fiber<Int>.current
            let fibers = (0..<3).map { number in
                Fiber<Int>(name: "fiber \(number)") { _ in
                    defer { trace.append("unwound \(number)") }
                    return try main.switchTo(0)
                }
            }
            for fiber in fibers[..<2] { try fiber.switchTo(0) }
            try Hub.current.run()
            #expect(Hub.current.description.contains("(fiber 1): waits for a fiber to switch to it"))
            Hub.current.close()
            #expect(fibers[0].isDead)
        }
        #expect(trace.lines.sorted() == ["unwound 0", "unwound 1"])
    }

    @Test func `a hub that closes ends fibers and generators that are suspended inside shielded`() throws {
        let trace = Trace()
        try onOSThread {
            let main = Fiber<Int>.current
            let fiber = Fiber<Int> { _ in
                defer { trace.append("fiber") }
                return try shielded { try main.switchTo(0) }
            }
            let generator = Generator<Int, Void> { me in
                defer { trace.append("generator") }
                while true { _ = try shielded { try me.yield(1) } }
            }
            try fiber.switchTo(0)
            try #expect(generator.next() == 1)
            spawn {
                defer { trace.append("asker") }
                let slow = Generator<Int, Void> { _ in try Greenlet.sleep(until: .never) }
                _ = try shielded { try slow.next() }
            }
            try Greenlet.yield()
            Hub.current.close()
            #expect(fiber.isDead && generator.isDone)
        }
        #expect(trace.lines.sorted() == ["asker", "fiber", "generator"])
    }

    @Test func `a fiber or generator that begins inside shielded while the hub closes throws busy and never runs`()
        throws
    {
        let trace = Trace()
        try onOSThread {
            spawn {
                defer {
                    shielded {
                        let generator = Generator<Int, Void> { _ in trace.append("runs") }
                        #expect(throws: FiberError.busy) { try generator.next() }
                        #expect(throws: FiberError.busy) { try Fiber<Int> { _ in 1 }.switchTo(0) }
                        trace.append("told")
                    }
                }
                try Greenlet.sleep(until: .never)
            }
            try Greenlet.yield()
            Hub.current.close()
        }
        #expect(trace.lines == ["told"])
    }

    @Test func `an error for a fiber that has not begun changes nothing if its parent is busy`() throws {
        try onHub {
            let event = GreenEvent()
            let parent = Fiber<Int> { number in
                try event.wait()
                return number
            }
            let child = Fiber<Int>(parent: parent) { $0 * 2 }
            let first = spawn {
                parent.parent = .current
                return try parent.switchTo(1)
            }
            try Greenlet.yield()
            #expect(throws: FiberError.busy) { try child.throwInto(Failure(1)) }
            #expect(throws: FiberError.busy) { try parent.switchTo(2) }
            #expect(!child.isDead && !child.isStarted)
            event.set()
            try #expect(first.value() == 1)
            child.parent = .current
            try #expect(child.switchTo(4) == 8)
        }
    }

    @Test func `a fiber that waits for a generator's value, or in fibers for other values, can't be switched to`()
        throws
    {
        try onHub {
            let event = GreenEvent()
            let fiber = Fiber<Int> { number in
                let slow = Generator<String, Void> { me in
                    try event.wait()
                    try me.yield("came")
                }
                try #expect(slow.next() == "came")
                return number
            }
            let first = spawn {
                fiber.parent = .current
                return try fiber.switchTo(1)
            }
            try Greenlet.yield()
            #expect(throws: FiberError.busy) { try fiber.switchTo(2) }
            event.set()
            try #expect(first.value(until: .after(.seconds(10))) == 1)
        }
    }

    @Test func `a fiber that has made fibers for other values is not ended when they are released`() throws {
        try onHub {
            var child: Fiber<String>?
            let main = Fiber<Int>.current
            let fiber = Fiber<Int> { number in
                child = Fiber<String> { $0 }
                return try main.switchTo(number) + 1
            }
            try #expect(fiber.switchTo(1) == 1)
            // The child's release also releases its stand-in parent among fibers for such values.
            #expect(child?.isStarted == false)
            child = nil
            try Greenlet.yield()
            #expect(!fiber.isDead)
            try #expect(fiber.switchTo(5) == 6)
        }
    }

    @Test func `a switch throws blockedForever if no green thread can be woken`() throws {
        try onHub {
            let event = GreenEvent()
            let fiber = Fiber<Int> { _ in try event.wait() ? 1 : 0 }
            #expect(throws: WaitError.self) { try fiber.switchTo(0) }
            fiber.core.kill()
        }
    }
}
