import GreenNet
import TestSupport
import Testing

/// Spawning, waiting for the end, what the end was.
struct GreenletTests {
    // MARK: Order

    @Test func `a spawned body begins when its spawner waits, not before`() throws {
        try onHub {
            var hasBegun = false
            let greenlet = spawn { hasBegun = true }
            #expect(!hasBegun)
            try greenlet.join()
            #expect(hasBegun)
        }
    }

    @Test func `the current one is nil on an OS thread without a hub, and none is made`() throws {
        try onOSThread {
            #expect(Greenlet.currentIfAny == nil)
            #expect(Greenlet.currentIfAny == nil)
            let inside = spawn(name: "inside") { Greenlet.currentIfAny?.name }
            try #expect(inside.value() == "inside")
            #expect(Greenlet.currentIfAny === Greenlet.current)
            Hub.current.close()
        }
    }

    @Test func `green threads begin in the order in which they were spawned`() throws {
        try onHub {
            var order: [Int] = []
            for number in 0..<1000 { spawn { order.append(number) } }
            try Hub.current.run()
            #expect(order == Array(0..<1000))
        }
    }

    @Test func `two green threads that give way to each other take turns`() throws {
        try onHub {
            var trace: [String] = []
            for number in 1...2 {
                spawn {
                    trace.append("\(number)A")
                    try Greenlet.yield()
                    trace.append("\(number)B")
                }
            }
            try Hub.current.run()
            #expect(trace == ["1A", "2A", "1B", "2B"])
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(-1), .seconds(Int64.min)])
    func `a sleep of no duration gives way once`(length: Duration) throws {
        try onHub {
            var trace: [String] = []
            for number in 1...2 {
                spawn {
                    trace.append("\(number)A")
                    try Greenlet.sleep(for: length)
                    trace.append("\(number)B")
                }
            }
            try Hub.current.run()
            #expect(trace == ["1A", "2A", "1B", "2B"])
        }
    }

    @Test func `yield returns when no other green thread is ready`() throws {
        try onHub {
            for _ in 0..<1000 { try Greenlet.yield() }
        }
    }

    @Test func `a green thread runs even if its spawner ends at once`() throws {
        try onHub {
            var hasRun = false
            spawn { _ = spawn { hasRun = true } }
            try Hub.current.run()
            #expect(hasRun)
        }
    }

    // MARK: Waiting for the end

    @Test func `join waits until the body has returned`() throws {
        try onHub {
            var hasReturned = false
            let greenlet = spawn {
                try Greenlet.sleep(for: .milliseconds(5))
                hasReturned = true
            }
            try #expect(greenlet.join())
            #expect(hasReturned)
        }
    }

    @Test func `join of an ended green thread returns at once, however often it is called`() throws {
        try onHub {
            let greenlet = spawn {}
            for _ in 0..<3 {
                try #expect(greenlet.join())
                try #expect(greenlet.join(until: .now))
            }
        }
    }

    @Test func `join doesn't throw what the body threw`() throws {
        try onHub {
            let greenlet = spawn { throw Failure(1) }
            try #expect(greenlet.join())
            #expect(greenlet.state == .failed)
            #expect(throws: Failure(1)) { try greenlet.value() }
        }
    }

    @Test func `join returns false at its deadline, and the body goes on`() throws {
        try onHub {
            let greenlet = spawn {
                try Greenlet.sleep(for: .milliseconds(30))
                return 7
            }
            let length = try elapsed { try #expect(!greenlet.join(until: .after(.milliseconds(5)))) }
            #expect(length >= .milliseconds(5))
            #expect(greenlet.state == .waiting)
            try #expect(greenlet.value() == 7)
        }
    }

    @Test func `join with a deadline in the past doesn't wait for the end`() throws {
        try onHub {
            let greenlet = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try #expect(!greenlet.join(until: .now))
            try #expect(!greenlet.join(until: .now + .seconds(Int64.min)))
            greenlet.kill()
        }
    }

    @Test func `all joiners are woken by the end, first come first served`() throws {
        try onHub {
            var order: [Int] = []
            let target = spawn { try Greenlet.sleep(for: .milliseconds(5)) }
            for number in 0..<100 {
                spawn {
                    try target.join()
                    order.append(number)
                }
            }
            try Hub.current.run()
            #expect(order == Array(0..<100))
        }
    }

    @Test func `a joiner that gave up leaves the others waiting`() throws {
        try onHub {
            var order: [String] = []
            let target = spawn { try Greenlet.sleep(for: .milliseconds(30)) }
            func joins(_ name: String, until deadline: Deadline) {
                spawn { order.append("\(name) \(try target.join(until: deadline))") }
            }
            joins("first", until: .never)
            joins("second", until: .after(.milliseconds(5)))
            joins("third", until: .never)
            try Hub.current.run()
            #expect(order == ["second false", "first true", "third true"])
        }
    }

    @Test func `value returns what the body returned, to every caller`() throws {
        try onHub {
            let greenlet = spawn { [1, 2, 3] }
            let others = (0..<3).map { _ in spawn { try greenlet.value() } }
            try #expect(greenlet.value() == [1, 2, 3])
            for other in others { try #expect(other.value() == [1, 2, 3]) }
            try #expect(greenlet.value(until: .now) == [1, 2, 3])
        }
    }

    @Test func `value throws the very error that the body threw, each time`() throws {
        try onHub {
            let thrown = FailureObject()
            let greenlet = spawn { throw thrown }
            for _ in 0..<3 {
                let caught = #expect(throws: FailureObject.self) { try greenlet.value() }
                #expect(caught === thrown)
            }
        }
    }

    @Test func `value throws deadlinePassed at its deadline and can be called again`() throws {
        try onHub {
            let greenlet = spawn {
                try Greenlet.sleep(for: .milliseconds(20))
                return 1
            }
            #expect(throws: WaitError.deadlinePassed) { try greenlet.value(until: .after(.milliseconds(2))) }
            #expect(throws: WaitError.deadlinePassed) { try greenlet.value(until: .now) }
            try #expect(greenlet.value() == 1)
        }
    }

    // MARK: State

    @Test func `the state follows a green thread from its spawn to its end`() throws {
        try onHub {
            let greenlet = spawn {
                #expect(Greenlet.current.state == .running)
                try Greenlet.yield()
                try Greenlet.sleep(for: .milliseconds(5))
                return 5
            }
            #expect(greenlet.state == .starting)
            #expect(greenlet.result == nil)
            try Greenlet.yield()
            #expect(greenlet.state == .ready)
            try Greenlet.yield()
            #expect(greenlet.state == .waiting)
            #expect(!greenlet.hasEnded)
            #expect(greenlet.result == nil)
            try greenlet.join()
            #expect(greenlet.state == .finished)
            #expect(greenlet.hasEnded)
            try #expect(greenlet.result?.get() == 5)
        }
    }

    @Test func `the state tells apart how a green thread has ended`() throws {
        try onHub {
            func expectEnd(_ state: AnyGreenlet.State, _ body: @escaping () throws -> Void) throws {
                let greenlet = spawn(body)
                try greenlet.join()
                #expect(greenlet.hasEnded)
                #expect(greenlet.state == state)
                _ = greenlet.result
            }
            try expectEnd(.finished) {}
            try expectEnd(.failed) { throw Failure(1) }
            try expectEnd(.killed) { throw GreenletExit() }
            try expectEnd(.finished) { Greenlet.current.kill() }
            try expectEnd(.killed) {
                Greenlet.current.kill()
                try Greenlet.yield()
            }
            try expectEnd(.killed) {
                Greenlet.current.kill(throwing: Failure(2))
                try Greenlet.yield()
            }
            try expectEnd(.failed) {
                Greenlet.current.kill()
                throw Failure(3)
            }
            // A thrown error of that kind is a failure, and no kill.
            try expectEnd(.failed) { throw WaitError.cancelled }
        }
    }

    @Test func `result throws nothing and is set from the end on`() throws {
        try onHub {
            let greenlet = spawn { throw Failure(4) }
            #expect(greenlet.result == nil)
            try greenlet.join()
            #expect(throws: Failure(4)) { try greenlet.result?.get() }
        }
    }

    // MARK: Identity

    @Test func `current is the green thread that runs`() throws {
        try onHub {
            let main = Greenlet.current
            #expect(main.name == "main")
            #expect(main.id == 1)
            #expect(main.state == .running)
            let greenlet = spawn(name: "worker") {
                let current = Greenlet.current
                try Greenlet.yield()
                #expect(Greenlet.current === current)
                return ObjectIdentifier(current)
            }
            try #expect(greenlet.value() == ObjectIdentifier(greenlet))
            #expect(Greenlet.current === main)
        }
    }

    @Test func `ids count up and names stay`() throws {
        try onHub {
            let first = spawn(name: "first") {}
            let second = spawn {}
            #expect(first.id == 2)
            #expect(second.id == 3)
            try Hub.current.run()
            #expect(first.name == "first")
            #expect(first.title == "green thread 2 (first)")
            #expect(second.name == nil)
            #expect(second.title == "green thread 3")
        }
    }

    // MARK: Memory

    @Test func `the body and what it has captured are released at its end`() throws {
        try onHub {
            let (greenlet, captured) = spawnKeeping()
            #expect(captured() != nil)
            try greenlet.join()
            #expect(captured() == nil)
        }
    }

    @Test func `the body of a green thread that was killed before it began is released too`() throws {
        try onHub {
            let (greenlet, captured) = spawnKeeping()
            greenlet.kill()
            try greenlet.join()
            #expect(captured() == nil)
        }
    }

    private func spawnKeeping() -> (AnyGreenlet, () -> AnyObject?) {
        let object = FailureObject()
        weak let captured = object
        return (spawn { withExtendedLifetime(object) {} }, { captured })
    }

    @Test func `a green thread needs no handle to run to its end`() throws {
        try onHub {
            var hasEnded = false
            spawn {
                try Greenlet.sleep(for: .milliseconds(1))
                hasEnded = true
            }
            try Hub.current.run()
            #expect(hasEnded)
        }
    }

    // MARK: Unobserved failures

    @Test func `an unobserved failure is reported once`() throws {
        try expectReports(["green thread 2 (lonely): Failure(1)"]) { spawn(name: "lonely") { throw Failure(1) } }
    }

    @Test func `a failure is reported when its handle is released, if it was not observed before`() throws {
        try onHub {
            var reported = 0
            Hub.current.onUnobservedFailure = { _ in reported += 1 }
            var greenlet: Greenlet<Never>? = spawn { throw Failure(1) }
            try greenlet?.join()
            #expect(greenlet?.state == .failed)
            #expect(reported == 0)
            greenlet = nil
            #expect(reported == 1)
        }
    }

    @Test func `an observed failure is not reported`() throws {
        try expectReports([]) { _ = try? spawn { throw Failure(1) }.value() }
        try expectReports([]) {
            let greenlet = spawn { throw Failure(1) }
            try greenlet.join()
            _ = greenlet.result
        }
    }

    @Test func `neither reading the result before the end nor joining observes a failure`() throws {
        try expectReports(["green thread 2: Failure(1)"]) {
            let greenlet = spawn { throw Failure(1) }
            _ = greenlet.result
            try greenlet.join()
        }
    }

    @Test func `an end by a kill is not reported`() throws {
        try expectReports([]) { spawn { throw GreenletExit() } }
        try expectReports([]) {
            let sleeper = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try Greenlet.yield()
            sleeper.kill(throwing: Failure(1))
        }
        try expectReports([]) { spawn {}.kill(throwing: Failure(1)) }
    }

    @Test func `a cleanup that fails after a kill is reported`() throws {
        try expectReports(["green thread 2: Failure(2)"]) {
            let sleeper = spawn {
                do { try Greenlet.sleep(for: .seconds(60)) } catch { throw Failure(2) }
            }
            try Greenlet.yield()
            sleeper.kill()
        }
    }

    @Test func `a failure does not disturb the others`() throws {
        try expectReports(["green thread 3: Failure(1)", "green thread 4: Failure(2)"]) {
            let sleeper = spawn { try elapsed { try Greenlet.sleep(for: .milliseconds(20)) } }
            spawn { throw Failure(1) }
            spawn {
                try Greenlet.sleep(for: .milliseconds(5))
                throw Failure(2)
            }
            let length = try sleeper.value()
            #expect(length >= .milliseconds(20))
            #expect(length < .milliseconds(20) + slack)
        }
    }

    /// Runs `body` and all green threads that it spawns, and expects the reports of unobserved failures to be `expected`.
    private func expectReports(
        _ expected: [String], sourceLocation: SourceLocation = #_sourceLocation,
        _ body: @escaping @Sendable () throws -> Void
    ) throws {
        try onHub(sourceLocation: sourceLocation) {
            var reports: [String] = []
            Hub.current.onUnobservedFailure = { reports.append("\($0.name): \($0.error)") }
            try body()
            try Hub.current.run()
            #expect(reports == expected, sourceLocation: sourceLocation)
        }
    }

    @Test func `an unobserved failure says which green thread failed, and where it was spawned`() throws {
        try onHub {
            var failures: [UnobservedFailure] = []
            Hub.current.onUnobservedFailure = { failures.append($0) }
            let line = UInt(#line) + 1
            spawn(name: "lonely") { throw Failure(1) }
            try Hub.current.run()
            let failure = try #require(failures.first)
            #expect(failures.count == 1)
            #expect(failure.description == "green thread 2 (lonely) failed: Failure(1)")
            #expect(failure.error as? Failure == Failure(1))
            #expect(failure.spawnSite?.line == line)
        }
    }

    @Test func `by default, an unobserved failure is a line on standard error`() async throws {
        let result = try await #require(processExitsWith: .success, observing: [\.standardErrorContent]) {
            try TestThread {
                spawn(name: "lonely") { throw Failure(1) }
                try Hub.current.run()
            }.value()
        }
        #expect(result.standardError.contains("GreenNet: green thread 2 (lonely) failed: Failure(1)\n"))
    }

    // MARK: A mistake in the program

    @Test func `a green thread that joins itself stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                spawn { try Greenlet.current.join() }
                try Hub.current.run()
            }.value()
        }
        expectProgrammingError("a green thread can't join itself", in: result)
    }
}
