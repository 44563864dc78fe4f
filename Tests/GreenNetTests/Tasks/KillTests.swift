import GreenNet
import TestSupport
import Testing

struct KillTests {
    // MARK: When a kill takes effect

    @Test func `a green thread killed before it began never runs`() throws {
        try onHub {
            var hasRun = false
            let greenlet = spawn { hasRun = true }
            greenlet.kill()
            #expect(greenlet.state == .starting)
            #expect(throws: GreenletExit()) { try greenlet.value() }
            #expect(greenlet.state == .killed)
            #expect(!hasRun)
        }
    }

    @Test func `kill wakes a green thread that sleeps`() throws {
        try onHub {
            let greenlet = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try Greenlet.yield()
            let length = try elapsed {
                greenlet.kill()
                try greenlet.join()
            }
            #expect(length < slack)
            #expect(greenlet.state == .killed)
        }
    }

    @Test func `kill doesn't wait itself`() throws {
        try onHub {
            let greenlet = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try Greenlet.yield()
            greenlet.kill()
            #expect(!greenlet.hasEnded)
            #expect(greenlet.state == .ready)
            try greenlet.join()
        }
    }

    @Test func `kill wakes a joiner, and the green thread it joins runs on`() throws {
        try onHub {
            let target = spawn {
                try Greenlet.sleep(for: .milliseconds(20))
                return 3
            }
            let joiner = spawn { try target.join() }
            try Greenlet.yield()
            #expect(joiner.state == .waiting)
            joiner.kill()
            #expect(throws: GreenletExit()) { try joiner.value() }
            #expect(!target.hasEnded)
            try #expect(target.value() == 3)
        }
    }

    @Test func `kill ends an endless loop that gives way`() throws {
        try onHub {
            var turns = 0
            let greenlet = spawn {
                while true {
                    turns += 1
                    try Greenlet.yield()
                }
            }
            try Greenlet.sleep(for: .milliseconds(1))
            greenlet.kill()
            try greenlet.join()
            #expect(turns > 1)
            #expect(greenlet.state == .killed)
        }
    }

    @Test func `a green thread that kills itself throws at its next wait`() throws {
        try onHub {
            var trace: [String] = []
            let greenlet = spawn {
                Greenlet.current.kill()
                trace.append("still here")
                try Greenlet.sleep(for: .seconds(60))
                trace.append("never")
            }
            try greenlet.join()
            #expect(trace == ["still here"])
            #expect(greenlet.state == .killed)
        }
    }

    @Test func `a killed green thread may run on until it waits`() throws {
        try onHub {
            let greenlet = spawn {
                Greenlet.current.kill()
                return 9
            }
            try #expect(greenlet.value() == 9)
            #expect(greenlet.state == .finished)
        }
    }

    @Test func `an event that came before the kill counts`() throws {
        try onHub {
            var trace: [String] = []
            let target = spawn { try Greenlet.sleep(for: .milliseconds(1)) }
            let joiner = spawn {
                try target.join()
                trace.append("joined")
                try Greenlet.yield()
                trace.append("never")
            }
            spawn {
                // This joins before `joiner`, so that it runs first once both are ready.
                try target.join()
                joiner.kill()
            }
            try Hub.current.run()
            #expect(trace == ["joined"])
        }
    }

    // MARK: A kill stays

    @Test func `every later wait throws too, until the body has ended`() throws {
        try onHub {
            var endings: [WaitError] = []
            let other = spawn { try Greenlet.sleep(for: .seconds(60)) }
            let greenlet = spawn {
                func record(_ wait: () throws(WaitError) -> Void) {
                    do throws(WaitError) { try wait() } catch { endings.append(error) }
                }
                record { () throws(WaitError) in try Greenlet.sleep(for: .seconds(60)) }
                record { () throws(WaitError) in try Greenlet.sleep(for: .seconds(60)) }
                record { () throws(WaitError) in try Greenlet.yield() }
                record { () throws(WaitError) in try other.join() }
                record { () throws(WaitError) in try other.join(until: .after(.seconds(60))) }
                record { () throws(WaitError) in try Hub.current.run() }
                return "unwound"
            }
            try Greenlet.yield()
            greenlet.kill()
            try #expect(greenlet.value() == "unwound")
            #expect(endings == Array(repeating: .cancelled, count: 6))
            #expect(greenlet.state == .finished)
            other.kill()
        }
    }

    @Test func `a killed green thread can join one that has ended`() throws {
        try onHub {
            let ended = spawn { 4 }
            try ended.join()
            let greenlet = spawn {
                Greenlet.current.kill()
                return try ended.value()
            }
            try #expect(greenlet.value() == 4)
        }
    }

    @Test func `defer blocks run, innermost first`() throws {
        try onHub {
            var trace: [String] = []
            let greenlet = spawn {
                defer { trace.append("outer") }
                func inner() throws {
                    defer { trace.append("inner") }
                    try Greenlet.sleep(for: .seconds(60))
                }
                try inner()
            }
            try Greenlet.yield()
            greenlet.kill()
            try greenlet.join()
            #expect(trace == ["inner", "outer"])
        }
    }

    @Test func `a second kill, or a kill after the end, changes nothing`() throws {
        try onHub {
            let greenlet = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try Greenlet.yield()
            greenlet.kill(throwing: Failure(1))
            greenlet.kill(throwing: Failure(2))
            #expect(throws: Failure(1)) { try greenlet.value() }
            greenlet.kill(throwing: Failure(3))
            #expect(throws: Failure(1)) { try greenlet.value() }
            #expect(greenlet.state == .killed)

            let finished = spawn { 1 }
            try finished.join()
            finished.kill()
            try #expect(finished.value() == 1)
            #expect(finished.state == .finished)
        }
    }

    @Test(arguments: [false, true])
    func `value throws what it was killed with`(hasBegun: Bool) throws {
        try onHub {
            let greenlet = spawn { try Greenlet.sleep(for: .seconds(60)) }
            if hasBegun { try Greenlet.yield() }
            let thrown = FailureObject()
            greenlet.kill(throwing: thrown)
            let caught = #expect(throws: FailureObject.self) { try greenlet.value() }
            #expect(caught === thrown)
            #expect(greenlet.state == .killed)
        }
    }

    @Test func `a green thread that is killed inside a time limit ends as killed`() throws {
        try onHub {
            let greenlet = spawn {
                try withTimeout(.seconds(60)) { try Greenlet.sleep(for: .seconds(50)) }
            }
            try Greenlet.yield()
            greenlet.kill()
            #expect(throws: GreenletExit()) { try greenlet.value() }
        }
    }

    @Test func `many green threads that are killed at once all end`() throws {
        try onHub {
            var ends = 0
            let greenlets = (0..<1000).map { number in
                spawn {
                    defer { ends += 1 }
                    switch number % 3 {
                    case 0: try Greenlet.sleep(for: .seconds(60))
                    case 1: while true { try Greenlet.yield() }
                    default: try Hub.current.run()
                    }
                }
            }
            try Greenlet.yield()
            for greenlet in greenlets { greenlet.kill() }
            try Hub.current.run()
            #expect(ends == 1000)
            #expect(Set(greenlets.map(\.state)) == [.killed])
        }
    }

    // MARK: Shielded

    @Test func `shielded lets a killed green thread wait for its cleanup`() throws {
        try onHub {
            var trace: [String] = []
            let greenlet = spawn {
                defer {
                    try? shielded {
                        try Greenlet.sleep(for: .milliseconds(5))
                        try Greenlet.yield()
                        trace.append("cleaned up")
                    }
                    if (try? Greenlet.sleep(for: .seconds(60))) == nil { trace.append("felt again") }
                }
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            greenlet.kill()
            try greenlet.join()
            #expect(trace == ["cleaned up", "felt again"])
            #expect(greenlet.state == .killed)
        }
    }

    @Test func `a kill inside shielded takes effect after it`() throws {
        try onHub {
            var trace: [String] = []
            let greenlet = spawn {
                try shielded {
                    try Greenlet.sleep(for: .milliseconds(10))
                    trace.append("inside")
                }
                trace.append("left")
                try Greenlet.yield()
                trace.append("never")
            }
            try Greenlet.yield()
            greenlet.kill()
            #expect(greenlet.state == .waiting)
            try greenlet.join()
            #expect(trace == ["inside", "left"])
            #expect(greenlet.state == .killed)
        }
    }

    @Test func `shields nest`() throws {
        try onHub {
            let greenlet = spawn {
                try shielded {
                    try shielded { try Greenlet.yield() }
                    try Greenlet.sleep(for: .milliseconds(2))
                }
                return shielded { 5 }
            }
            try Greenlet.yield()
            greenlet.kill()
            try #expect(greenlet.value() == 5)
        }
    }

    @Test func `shielded gives the value and throws the error of its body`() throws {
        try onHub {
            let value = shielded { 6 }
            #expect(value == 6)
            #expect(throws: Failure(7)) { try shielded { () throws(Failure) in throw Failure(7) } }
        }
    }

    @Test func `an error ends the shield`() throws {
        try onHub {
            let greenlet = spawn {
                try? shielded { throw Failure(1) }
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            greenlet.kill()
            #expect(throws: GreenletExit()) { try greenlet.value() }
        }
    }

    // MARK: A mistake in the program

    @Test func `killing the main green thread stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let main = Greenlet.current
                try spawn { main.kill() }.join()
            }.value()
        }
        expectProgrammingError("the main green thread can't be killed", in: result)
    }
}
