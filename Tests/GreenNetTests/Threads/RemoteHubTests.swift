import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Reaching a hub from other OS threads.
struct RemoteHubTests {
    @Test func `a remote spawn runs on a green thread of the hub`() throws {
        try onHub {
            let isDone = Atomic(false)
            let hub = ObjectIdentifier(Hub.current)
            let remote = Hub.current.remote
            let other = TestThread {
                remote.spawn(name: "remote") {
                    #expect(ObjectIdentifier(Hub.current) == hub)
                    #expect(Greenlet.current.name == "remote")
                    try Greenlet.sleep(for: .milliseconds(1))
                    isDone.store(true, ordering: .relaxed)
                }
            }
            try other.value()
            while !isDone.load(ordering: .relaxed) { try Greenlet.sleep(for: .milliseconds(1)) }
        }
    }

    @Test func `a remote spawn wakes a hub that sleeps in its loop`() throws {
        try onHub {
            let remote = Hub.current.remote
            let sleeper = spawn { try Greenlet.sleep(for: .seconds(60)) }
            let other = TestThread {
                burn(.milliseconds(10))
                remote.spawn { for greenlet in Hub.current.scheduler.living { greenlet.kill() } }
            }
            let length = try elapsed { try sleeper.join() }
            #expect(length < .milliseconds(10) + slack)
            try other.value()
        }
    }

    @Test func `wake only wakes the hub`() throws {
        try onHub {
            let remote = Hub.current.remote
            let other = TestThread { (0..<100).map { _ in remote.wake() } }
            let length = try elapsed { try Greenlet.sleep(for: .milliseconds(20)) }
            #expect(length >= .milliseconds(20))
            try #expect(Set(other.value()) == [true])
        }
    }

    @Test func `all spawns of several OS threads run, those of each OS thread in order`() throws {
        try onHub {
            let (threads, count) = (4, Sanitizer.scaled(10_000, address: 2000, thread: 2000) / 4)
            let seen = Mutex(Array(repeating: [Int](), count: threads))
            let remote = Hub.current.remote
            let others = (0..<threads).map { number in
                TestThread {
                    for value in 0..<count {
                        remote.spawn { seen.withLock { $0[number].append(value) } }
                    }
                }
            }
            let deadline = Deadline.after(.seconds(30))
            while seen.withLock({ $0.joined().count }) < threads * count, !deadline.hasPassed {
                try Greenlet.sleep(for: .milliseconds(1))
            }
            for other in others { try other.value() }
            #expect(seen.withLock { $0 } == Array(repeating: Array(0..<count), count: threads))
        }
    }

    @Test func `a spawn from the hub's own OS thread runs too, and once, however often the hub is woken`() throws {
        try onHub {
            let runs = Atomic(0)
            let remote = Hub.current.remote
            remote.spawn { runs.add(1, ordering: .relaxed) }
            for _ in 0..<10 {
                remote.wake()
                try Greenlet.sleep(for: .milliseconds(1))
            }
            #expect(runs.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `two hubs play ping-pong`() throws {
        try onHub {
            let rounds = 200
            let here = Atomic(0)
            let there = Atomic(0)
            let remote = Hub.current.remote
            let partner = Handoff<RemoteHub>()
            let other = TestThread {
                partner.give(Hub.current.remote)
                for round in 1...rounds {
                    while there.load(ordering: .acquiring) < round { try Greenlet.sleep(for: .microseconds(10)) }
                    remote.spawn { here.add(1, ordering: .releasing) }
                }
            }
            let othersRemote = try #require(partner.take())
            for round in 1...rounds {
                othersRemote.spawn { there.add(1, ordering: .releasing) }
                while here.load(ordering: .acquiring) < round { try Greenlet.sleep(for: .microseconds(10)) }
            }
            try other.value()
        }
    }

    @Test func `a failure of a remote spawn is reported`() throws {
        try onHub {
            var reports: [String] = []
            Hub.current.onUnobservedFailure = { reports.append("\($0.name): \($0.error)") }
            Hub.current.remote.spawn(name: "remote") { throw Failure(1) }
            let deadline = Deadline.after(.seconds(10))
            while reports.isEmpty, !deadline.hasPassed { try Greenlet.yield() }
            #expect(reports == ["green thread 2 (remote): Failure(1)"])
        }
    }

    // MARK: After the end

    @Test func `after close the handle refuses all calls`() throws {
        try onHub {
            let remote = Hub.current.remote
            #expect(remote.wake())
            Hub.current.close()
            #expect(!remote.wake())
            #expect(!remote.spawn { Issue.record("runs, though the hub has closed") })
            // The handle does not reach the next hub of the same OS thread either.
            spawn {}
            #expect(!remote.wake())
            try Hub.current.run()
        }
    }

    @Test func `a handle outlives its OS thread`() throws {
        try onOSThread {
            let remote = try TestThread { Hub.current.remote }.value()
            #expect(!remote.wake())
            #expect(!remote.spawn {})
        }
    }

    @Test func `while the hub closes, its handle refuses spawns and still wakes the hub`() throws {
        try onHub {
            let remote = Hub.current.remote
            var answers: [Bool] = []
            spawn {
                defer { answers = [remote.spawn { Issue.record("runs, though the hub closes") }, remote.wake()] }
                try Greenlet.sleep(for: .seconds(60))
            }
            try Greenlet.yield()
            Hub.current.close()
            #expect(answers == [false, true])
        }
    }

    @Test func `a hub can close while other OS threads go on spawning`() throws {
        try onHub {
            for _ in 0..<20 {
                let begun = Atomic(0)
                let ended = Atomic(0)
                let taken = Atomic(0)
                let remote = Hub.current.remote
                let others = (0..<2).map { _ in
                    TestThread {
                        while remote.spawn({
                            begun.add(1, ordering: .relaxed)
                            defer { ended.add(1, ordering: .relaxed) }
                            try Greenlet.sleep(for: .seconds(60))
                        }) {
                            let number = taken.add(1, ordering: .relaxed).newValue
                            // Spawn no faster than the hub begins the bodies.
                            while begun.load(ordering: .relaxed) < number - 50, remote.wake() {
                                burn(.microseconds(100))
                            }
                        }
                    }
                }
                while begun.load(ordering: .relaxed) < 20 { try Greenlet.sleep(for: .milliseconds(1)) }
                Hub.current.close()
                for other in others { try other.value() }
                #expect(begun.load(ordering: .relaxed) == ended.load(ordering: .relaxed))
                #expect(begun.load(ordering: .relaxed) <= taken.load(ordering: .relaxed))
            }
        }
    }

    @Test func `bodies that have not begun are released when the hub closes`() throws {
        try onHub {
            let remote = Hub.current.remote
            final class Talkative: Sendable {
                let remote: RemoteHub
                init(_ remote: RemoteHub) { self.remote = remote }
                // An object that a job holds may use the hub when it is released.
                deinit { remote.wake() }
            }
            weak let held = spawnHolding(Talkative(remote), on: remote)
            Hub.current.close()
            #expect(held == nil)
        }
    }

    private func spawnHolding<T: AnyObject & Sendable>(_ object: T, on remote: RemoteHub) -> T? {
        remote.spawn { withExtendedLifetime(object) {} }
        return object
    }

    // MARK: Stuck or not

    @Test func `a hub whose handle is held elsewhere is not blocked forever`() throws {
        try onHub {
            let stuck = spawn { try Greenlet.sleep(until: .never) }
            let remote = Hub.current.remote
            let other = TestThread {
                burn(.milliseconds(20))
                remote.spawn { for greenlet in Hub.current.scheduler.living { greenlet.kill() } }
            }
            try stuck.join()
            #expect(stuck.state == .killed)
            try other.value()
        }
    }

    @Test func `once the handle is released, the hub can be blocked forever`() throws {
        try onHub {
            let other = { [remote = Hub.current.remote] in TestThread { remote.wake() } }()
            try other.value()
            expectBlockedForever { try Greenlet.sleep(until: .never) }
        }
    }
}
