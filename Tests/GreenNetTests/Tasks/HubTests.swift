import Glibc
import ProgramKit
import TestSupport
import Testing

@testable import GreenNet

struct HubTests {
    // MARK: Running

    @Test func `run returns at once without green threads, however often it is called`() throws {
        try onHub {
            for _ in 0..<3 {
                try Hub.current.run()
                try Hub.current.run(until: .now)
            }
            spawn {}
            try Hub.current.run()
            try Hub.current.run()
        }
    }

    @Test func `run waits for all green threads, also for those spawned meanwhile`() throws {
        try onHub {
            var ends = 0
            func spawnGenerations(_ count: Int) {
                guard count > 0 else { return }
                spawn {
                    try Greenlet.sleep(for: .milliseconds(1))
                    spawnGenerations(count - 1)
                    ends += 1
                }
            }
            spawnGenerations(5)
            spawnGenerations(3)
            try Hub.current.run()
            #expect(ends == 8)
        }
    }

    @Test func `run throws deadlinePassed at its deadline`() throws {
        try onHub {
            let greenlet = spawn { try Greenlet.sleep(for: .seconds(60)) }
            let length = elapsed {
                #expect(throws: WaitError.deadlinePassed) { try Hub.current.run(until: .after(.milliseconds(5))) }
            }
            #expect(length >= .milliseconds(5))
            #expect(length < .milliseconds(5) + slack)
            greenlet.kill()
            try Hub.current.run()
        }
    }

    @Test func `run in a green thread waits for the other green threads`() throws {
        try onHub {
            var trace: [String] = []
            spawn {
                try Hub.current.run()
                trace.append("all others")
            }
            spawn {
                try Greenlet.sleep(for: .milliseconds(5))
                trace.append("other")
            }
            try Hub.current.run()
            #expect(trace == ["other", "all others"])
        }
    }

    @Test func `the main green thread goes on after run in a green thread has returned`() throws {
        try onHub {
            let waiter = spawn { try Hub.current.run() }
            try Hub.current.run(until: .after(.seconds(20)))
            #expect(waiter.hasEnded)
        }
    }

    // MARK: Blocked forever

    @Test func `a cycle of joins is reported with all waits`() throws {
        try onHub {
            var greenlets: [AnyGreenlet] = []
            let (site, line) = ("GreenNetTests/HubTests.swift", #line)
            greenlets.append(spawn(name: "egg") { try greenlets[1].join() })
            greenlets.append(spawn(name: "hen") { try greenlets[0].join() })
            let length = elapsed {
                let error = #expect(throws: WaitError.self) { try greenlets[0].join() }
                guard case .blockedForever(let report)? = error else { return }
                #expect(
                    report.waiting.withoutAges == """
                          green thread 1 (main): waits for the end of green thread 2
                            green thread 2 (egg): waits for the end of green thread 3, spawned at \(site):\(line + 1)
                            green thread 3 (hen): waits for the end of green thread 2, spawned at \(site):\(line + 2)
                        """)
                #expect(report.description.hasPrefix("blocked forever: "))
                #expect(report.description.hasSuffix(report.waiting))
            }
            #expect(length < slack)
            #expect(greenlets.map(\.state) == [.waiting, .waiting])
            greenlets[0].kill()
            greenlets[1].kill()
        }
    }

    @Test func `run reports a cycle of joins too, each time, and the hub stays usable`() throws {
        try onHub {
            let stuck = spawn { try Greenlet.sleep(until: .never) }
            for _ in 0..<3 {
                expectBlockedForever { try Hub.current.run() }
            }
            try #expect(spawn { 1 }.value() == 1)
            stuck.kill()
            try Hub.current.run()
        }
    }

    @Test func `the main green thread alone in a sleep without end is blocked forever`() throws {
        try onHub {
            expectBlockedForever { try Greenlet.sleep(until: .never) }
            expectBlockedForever { try Greenlet.sleep(for: .seconds(Int64.max)) }
        }
    }

    @Test func `a wait with a deadline keeps the hub from being stuck`() throws {
        try onHub {
            let target = spawn { try Greenlet.sleep(until: .never) }
            let other = spawn { try target.join(until: .after(.milliseconds(10))) }
            let length = elapsed {
                expectBlockedForever { try target.join() }
            }
            #expect(length >= .milliseconds(10))
            try #expect(other.value() == false)
            target.kill()
        }
    }

    @Test func `a left-over timer doesn't hide that all green threads are stuck`() throws {
        try onHub {
            try spawn {}.join(until: .after(.seconds(60)))
            let length = elapsed {
                expectBlockedForever { try Greenlet.sleep(until: .never) }
            }
            #expect(length < slack)
        }
    }

    @Test func `a time limit keeps the hub from being stuck`() throws {
        try onHub {
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(5)) { try Greenlet.sleep(until: .never) }
            }
        }
    }

    // MARK: Closing

    @Test func `close kills all green threads and waits until they have unwound`() throws {
        try onHub {
            var trace: [String] = []
            let sleeper = spawn {
                defer { trace.append("sleeper") }
                try Greenlet.sleep(for: .seconds(60))
            }
            let busy = spawn {
                defer { trace.append("busy") }
                while true { try Greenlet.yield() }
            }
            let cleaner = spawn {
                defer {
                    try? shielded { try Greenlet.sleep(for: .milliseconds(10)) }
                    trace.append("cleaner")
                }
                try sleeper.join()
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            let unbegun = spawn { trace.append("unbegun") }
            Hub.current.close()
            #expect(Set(trace) == ["sleeper", "busy", "cleaner"])
            #expect(trace.last == "cleaner")
            #expect([sleeper.state, busy.state, cleaner.state, unbegun.state] == Array(repeating: .killed, count: 4))
        }
    }

    @Test func `a green thread that is spawned while the hub closes is killed too`() throws {
        try onHub {
            var late: Greenlet<Void>?
            spawn {
                defer { late = spawn { try Greenlet.sleep(for: .seconds(60)) } }
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            let length = elapsed { Hub.current.close() }
            #expect(length < slack)
            #expect(late?.state == .killed)
        }
    }

    @Test func `after close the next call makes a new hub`() throws {
        try onHub {
            for _ in 0..<3 {
                #expect(Hub.current === Hub.current)
                let greenlet = spawn { Greenlet.current.id }
                try #expect(greenlet.value() == 2)
                Hub.current.close()
                #expect(Context.running == nil)
            }
            // A hub that has done nothing can be closed too.
            Hub.current.close()
        }
    }

    @Test func `handles outlive their hub`() throws {
        try onHub {
            let finished = spawn { 1 }
            let killed = spawn { try Greenlet.sleep(for: .seconds(60)) }
            try finished.join()
            let old = Greenlet.current
            Hub.current.close()
            try #expect(finished.value() == 1)
            #expect(throws: GreenletExit()) { try killed.value() }
            killed.kill()
            #expect(old.hasEnded)
            #expect(old.state == .finished)
            #expect(Greenlet.current !== old)
        }
    }

    private struct Held: @unchecked Sendable {
        // Unchecked: in one OS thread's hands at a time.
        let objects: [AnyObject]
    }

    /// A green thread has waited for each, so that the hub's loop has a watcher for each.
    @Test func `sockets and signals outlive their hub, and another OS thread may release them`() throws {
        try onOSThread {
            var held: Held? = try TestThread {
                let listener = try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!)
                let (client, server) = try connectedConnections()
                let signals = SignalWatcher(SIGUSR2)
                spawn { _ = try listener.accept() }
                spawn { _ = try server.receive() }
                spawn { _ = try signals.wait() }
                try Greenlet.yield()
                Hub.current.close()
                return Held(objects: [listener, client, server, signals])
            }.value()
            // The new hub takes the memory that the other had.
            spawn {}
            try Hub.current.run()
            #expect(held?.objects.count == 4)
            held = nil
            // The signal is free for another watcher, and so are the numbers of the descriptors.
            let signals = SignalWatcher(SIGUSR2)
            let (client, server) = try connectedConnections()
            try client.sendAll(Array("still here".utf8))
            let received = try server.receive().map { String(decoding: $0, as: UTF8.self) }
            #expect(received == "still here")
            kill(getpid(), SIGUSR2)
            try #expect(signals.wait(until: .after(.seconds(10))) == SIGUSR2)
            Hub.current.close()
        }
    }

    @Test func `close unmaps the stacks`() throws {
        try onHub {
            let stacks = 1000 * StackClass.standard.bytes
            let before = try addressSpaceBytes()
            // A few green threads more, since the hub has some stacks already.
            for _ in 0..<1100 { spawn { try Greenlet.sleep(for: .milliseconds(1)) } }
            try Hub.current.run()
            let during = try addressSpaceBytes()
            Hub.current.close()
            #expect(during - before >= stacks)
            try #expect(during - addressSpaceBytes() >= stacks)
        }
    }

    @Test func `the hub ends with its OS thread, and its green threads unwind`() throws {
        let trace = Trace()
        // `onOSThread` finds descriptors that are left, too.
        try onOSThread {
            spawn {
                defer { trace.append("unwound") }
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            trace.append("body over")
        }
        #expect(trace.lines == ["body over", "unwound"])
    }

    @Test func `an OS thread that has closed its hub can end without one`() throws {
        try onOSThread {
            spawn {}
            Hub.current.close()
        }
    }

    @Test func `hubs come and go on many OS threads`() throws {
        try onOSThread {
            for round in 0..<10 {
                let threads = (0..<4).map { number in
                    TestThread {
                        let greenlets = (0..<20).map { value in
                            spawn {
                                try Greenlet.sleep(for: .microseconds(value))
                                return value
                            }
                        }
                        let sum = try greenlets.reduce(0) { try $0 + $1.value() }
                        if (round + number) % 2 == 0 { Hub.current.close() }
                        return sum
                    }
                }
                for thread in threads { try #expect(thread.value() == 190) }
            }
        }
    }

    @Test func `two hubs on two OS threads don't affect each other`() throws {
        try onHub {
            let (othersTurn, ownTurn) = (Handoff<Void>(), Handoff<Void>())
            let own = Hub.current
            let sleeper = spawn(name: "own") { try Greenlet.sleep(until: .never) }
            let other = TestThread {
                let greenlet = spawn(name: "other") { try Greenlet.sleep(until: .never) }
                try Greenlet.yield()
                expectBlockedForever { try greenlet.join() }
                let dump = Hub.current.description
                ownTurn.give()
                othersTurn.take()
                greenlet.kill()
                try greenlet.join()
                Hub.current.close()
                return !dump.contains("own")
            }
            ownTurn.take()
            try Greenlet.yield()
            #expect(Hub.current === own)
            #expect(sleeper.state == .waiting)
            #expect(!own.description.contains("other"))
            othersTurn.give()
            try #expect(other.value())
            #expect(sleeper.state == .waiting)
            sleeper.kill()
        }
    }

    // MARK: Mistakes in the program, and a system that has nothing left

    @Test func `closing from a green thread stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                spawn { Hub.current.close() }
                try Hub.current.run()
            }.value()
        }
        expectProgrammingError("Hub.close() is for the OS thread's main green thread", in: result)
    }

    @Test func `closing inside a time limit or a shield stops the program`() async throws {
        let inLimit = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread { try withTimeout(.seconds(60)) { Hub.current.close() } }.value()
        }
        let inShield = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread { shielded { Hub.current.close() } }.value()
        }
        expectProgrammingError("Hub.close() in withTimeout or shielded", in: inLimit)
        expectProgrammingError("Hub.close() in withTimeout or shielded", in: inShield)
    }

    @Test func `a call that waits in a callback of the loop stops the program`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                _ = Hub.current.remote.callInHub { try? Greenlet.sleep(for: .milliseconds(1)) }
                try Greenlet.sleep(for: .seconds(20))
            }.value()
        }
        expectProgrammingError("a call that waits, in a callback of the hub", in: result)
    }

    @Test func `without a descriptor for the loop the program stops and says so`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try DescriptorLimit.set(3)
            try TestThread { _ = Hub.current }.value()
        }
        #expect(result.standardError.contains("no event loop can be made"))
    }

    @Test func `a hub that is made beforehand has stacks in store, and is the one that is used later`() throws {
        try onOSThread {
            try Hub.prepare(stacks: 5)
            #expect(Hub.current.statistics.cachedStacks == 5)
            try spawn {}.join()
            #expect(Hub.current.statistics.cachedStacks == 5)
            try Hub.prepare(stacks: 9)
            #expect(Hub.current.statistics.cachedStacks == 5)
            Hub.current.close()
        }
    }

    @Test func `without a descriptor a hub can't be made beforehand, and the attempt leaves nothing behind`()
        async throws
    {
        await #expect(processExitsWith: .success) {
            let limit = DescriptorLimit.current
            // There is room for the epoll set at most, and none for the descriptor that wakes the loop.
            for room in [0, 1] {
                try DescriptorLimit.set(lowestFreeDescriptor() + room)
                try TestThread { #expect(throws: HubFailure.self) { try Hub.prepare(stacks: 1) } }.value()
            }
            try DescriptorLimit.set(limit)
            try TestThread { try Hub.prepare(stacks: 1) }.value()
        }
    }
}

private func lowestFreeDescriptor() -> Int {
    let copy = dup(0)
    close(copy)
    return Int(copy)
}

func expectBlockedForever(sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
    let error = #expect(throws: WaitError.self, sourceLocation: sourceLocation, performing: body)
    guard case .blockedForever? = error else {
        Issue.record("expected blockedForever, not \(String(describing: error))", sourceLocation: sourceLocation)
        return
    }
}
