import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

struct OffloadedCallTests {
    @Test func `a call returns its value or throws its error, to each that asks, on any hub`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let (good, bad) = (try pool.submit { 4 }, try pool.submit { throw Failure(3) })
            try #expect(good.value() == 4)
            #expect(throws: Failure(3)) { try bad.value() }
            let other = TestThread {
                defer { Hub.current.close() }
                let failure = #expect(throws: Failure(3)) { try bad.value() }
                return try (good.value(), failure)
            }
            let (value, failure) = try other.value()
            #expect(value == 4 && failure == Failure(3))
            #expect(good.hasEnded && bad.hasEnded)
        }
    }

    @Test func `submit returns at once, from an OS thread without a hub too, and makes no hub there`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit {
                gate.pass()
                return pthread_self()
            }
            #expect(!call.hasEnded && call.result == nil)
            let other = TestThread {
                let call = try pool.submit { 7 }
                return (call, Context.running == nil)
            }
            let (second, hasNoHub) = try other.value()
            #expect(hasNoHub)
            gate.open()
            try #expect(call.value() != pthread_self())
            try #expect(second.value() == 7)
        }
    }

    @Test func `an early end of the wait leaves the call running`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit {
                gate.pass()
                return 5
            }
            #expect(throws: WaitError.deadlinePassed) { try call.value(until: .after(.milliseconds(2))) }
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { try call.value() } }
            let killed = spawn { try call.value() }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            try #expect(!call.join(until: .now))
            #expect(pool.statistics.givenUp == 0)
            gate.open()
            try #expect(call.value() == 5)
        }
    }

    @Test func `a call is withdrawn if it has not begun, and releases what it would have used`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let first = try pool.submit { gate.pass() }
            try eventuallyOnHub { gate.waiting == 1 }
            weak var argument: Token?
            let second: OffloadedCall<Int>
            do {
                let token = Token()
                argument = token
                second = try pool.submit {
                    _ = token
                    return 2
                }
            }
            #expect(argument != nil)
            #expect(!first.withdraw())
            #expect(second.withdraw())
            #expect(argument == nil)
            #expect(!second.withdraw())
            #expect(throws: OffloadError.withdrawn) { try second.value() }
            gate.open()
            try first.value()
            #expect(!first.withdraw())
            try eventuallyOnHub { pool.statistics.running == 0 }
            #expect(pool.statistics.withdrawn == 1 && pool.statistics.done == 1)
        }
    }

    // MARK: A deadline

    @Test func `a call that has not begun by its deadline never does`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let first = try pool.submit { gate.pass() }
            // Its OS thread has begun: else it would be queued too.
            try eventuallyOnHub { gate.waiting == 1 }
            let late = try pool.submit(until: .after(.milliseconds(2))) { 1 }
            #expect(throws: WaitError.deadlinePassed) { try late.value() }
            #expect(pool.statistics.queued == 0 && pool.statistics.givenUp == 0)
            gate.open()
            try first.value()
            try #expect(pool.submit(until: .after(.seconds(60))) { 3 }.value() == 3)
        }
    }

    @Test func `a call that runs at its deadline goes on, given up, and leaves its place to another`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1, givenUpLimit: 1)
            let gate = Gate()
            let call = try pool.submit(until: .after(.milliseconds(20))) { gate.pass() }
            try eventuallyOnHub { gate.waiting == 1 }
            #expect(throws: WaitError.deadlinePassed) { try call.value() }
            #expect(pool.statistics.givenUp == 1 && pool.statistics.running == 1)
            try #expect(pool.run { 3 } == 3)
            gate.open()
            try eventuallyOnHub { pool.statistics.running == 0 }
            #expect(pool.statistics.givenUp == 0 && pool.statistics.done == 2)
            #expect(throws: WaitError.deadlinePassed) { try call.value() }
        }
    }

    // MARK: onEnd

    @Test func `onEnd bodies run on the hub that registered them, in their order, may wait, and use the hub's objects`()
        throws
    {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit {
                gate.pass()
                return 3
            }
            let (queue, own) = (GreenQueue<Int>(), pthread_self())
            for number in 0..<3 {
                call.onEnd { result in
                    #expect(pthread_self() == own)
                    try Greenlet.sleep(for: .milliseconds(1))
                    try queue.put(number * 10 + result.get())
                }
            }
            try Greenlet.yield()
            #expect(queue.isEmpty)
            gate.open()
            try #expect((0..<3).map { _ in try queue.take() } == [3, 13, 23])
            // It has ended already.
            call.onEnd { result in try queue.put(result.get()) }
            try #expect(queue.take() == 3)
        }
    }

    @Test func `onEnd bodies of two hubs run on each`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit {
                gate.pass()
                return 3
            }
            let hubs = (0..<2).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    let (done, own) = (GreenResult<Bool>(), pthread_self())
                    call.onEnd { _ in done.set(pthread_self() == own) }
                    return try done.value()
                }
            }
            try Greenlet.sleep(for: .milliseconds(2))
            gate.open()
            for hub in hubs { try #expect(hub.value()) }
        }
    }

    @Test func `an error of an onEnd body is reported, and disturbs no other`() throws {
        try onHub {
            let reports = FailureReports()
            let pool = OffloadPool(limit: 1)
            let (call, done) = (try pool.submit(name: "three") { 3 }, GreenEvent())
            call.onEnd { _ in throw Failure(8) }
            call.onEnd { _ in done.set() }
            try done.wait()
            try eventuallyOnHub { reports.texts.count == 1 }
            #expect(reports.texts.first?.contains("(end of offloaded call (three)) failed: ") == true)
        }
    }

    @Test func `onEnd hears of an error and of a withdrawal, and neither is reported`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let ends = GreenQueue<String>()
            let first = try pool.submit {
                gate.pass()
                throw Failure(1)
            }
            let second = try pool.submit { 2 }
            first.onEnd { _ = try ends.tryPut("\($0)") }
            second.onEnd { _ = try ends.tryPut("\($0)") }
            try eventuallyOnHub { gate.waiting == 1 }
            second.withdraw()
            try #expect(ends.take().contains("withdrawn"))
            gate.open()
            try #expect(ends.take().contains("Failure"))
        }
    }

    @Test func `the objects that an onEnd body holds go on its hub, also if it closes first`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let notes = Notes()
            let call = try pool.submit { gate.pass() }
            let other = TestThread {
                let canary = Canary(notes)
                call.onEnd { _ in withExtendedLifetime(canary) {} }
                Hub.current.close()
            }
            try other.value()
            do {
                let canary = Canary(notes)
                call.onEnd { _ in withExtendedLifetime(canary) {} }
            }
            gate.open()
            try call.value()
            try eventuallyOnHub { notes.list.count == 2 }
            #expect(notes.list == [true, true])
        }
    }

    @Test func `task-locals that are bound at onEnd are bound in its body`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let seen = GreenResult<Int>()
            try Marks.$mark.withValue(7) { try pool.submit {}.onEnd { _ in seen.set(Marks.mark) } }
            try #expect(seen.value() == (Hub.current.capabilities.keepsTasksApart ? 7 : 0))
        }
    }

    // MARK: Waiting for several

    @Test func `calls are waited for together with events, queues and green threads`() throws {
        try onHub {
            let pool = OffloadPool(limit: 3)
            let gates = (0..<3).map { _ in Gate() }
            let calls = try gates.enumerated().map { number, gate in
                try pool.submit {
                    gate.pass()
                    return number
                }
            }
            let event = GreenEvent()
            gates[1].open()
            try #expect(waitAny(calls) === calls[1])
            try #expect(waitAny([event, calls[0]], until: .after(.milliseconds(2))) == nil)
            event.set()
            try #expect(waitAny([calls[0], event]) === event)
            gates[2].open()
            try calls[2].join()
            gates[0].open()
            let ready = try joinAll(calls)
            #expect(Set(ready.map(ObjectIdentifier.init)) == Set(calls.map(ObjectIdentifier.init)))
            var order: [Int] = []
            try iterateReady(calls) { order.append(try $0.value()) }
            #expect(order == [0, 1, 2])
        }
    }

    @Test func `iterateReady takes calls in the order of their ends, and joinAll throws the first error`() throws {
        try onHub {
            let pool = OffloadPool(limit: 3)
            let gates = (0..<3).map { _ in Gate() }
            let calls = try gates.enumerated().map { number, gate in
                try pool.submit {
                    gate.pass()
                    if number == 1 { throw Failure(1) }
                    return number
                }
            }
            gates[2].open()
            var order: [Int] = []
            try iterateReady(calls) { call in
                order.append(calls.firstIndex { $0 === call }!)
                // The next one ends only now.
                gates[[2: 0, 0: 1, 1: 1][order.last!]!].open()
            }
            #expect(order == [2, 0, 1])
            #expect(throws: Failure(1)) { try joinAll(calls, throwing: true) }
        }
    }

    @Test func `several hubs wait for one call with waitAny`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit { gate.pass() }
            let hubs = (0..<3).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    return try waitAny([call]) != nil
                }
            }
            try Greenlet.sleep(for: .milliseconds(2))
            gate.open()
            for hub in hubs { try #expect(hub.value()) }
        }
    }

    @Test func `a wait for several that is over leaves nothing at the calls`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let call = try pool.submit { gate.pass() }
            for _ in 0..<100 { try #expect(waitAny([call], until: .now) == nil) }
            let waiting = call.outcome.withState { $0.waiters.count }
            #expect(waiting == 0)
            gate.open()
            try call.value()
        }
    }

    @Test func `a hub that waits for a call is not stuck, and one whose calls have ended is`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let call = try pool.submit { block(courseSeconds: 1) }
            try #expect(waitAny([call]) === call)
            let error = #expect(throws: WaitError.self) { try GreenEvent().wait() }
            if case .blockedForever = error {} else { Issue.record("\(String(describing: error))") }
        }
    }

    // MARK: Errors for which no code asks

    @Test func `an error for which no code has asked is reported once, to the hub that submitted`() throws {
        try onHub {
            let reports = FailureReports()
            let pool = OffloadPool(limit: 1)
            try pool.submit(name: "reader") { throw Failure(1) }
            try eventuallyOnHub { !reports.texts.isEmpty }
            let asked = try pool.submit { throw Failure(2) }
            #expect(throws: Failure(2)) { try asked.value() }
            let read = try pool.submit { throw Failure(3) }
            try eventuallyOnHub { read.hasEnded }
            #expect(read.result != nil)
            // Given up: its result is dropped.
            let gate = Gate()
            #expect(throws: WaitError.deadlinePassed) {
                try pool.run(until: .after(.milliseconds(2))) {
                    gate.pass()
                    throw Failure(4)
                }
            }
            let withdrawn = try pool.submit { throw Failure(5) }
            #expect(withdrawn.withdraw())
            gate.open()
            try pool.run {}
            try Greenlet.sleep(for: .milliseconds(2))
            #expect(reports.texts == ["offloaded call (reader) failed: \(Failure(1))"])
            #expect(reports.sites.first??.description.contains("OffloadedCallTests") == true)
        }
    }

    @Test func `where the hub has closed, the error is reported on standard error`() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            try TestThread {
                _ = Hub.current
                try pool.submit(name: "late") {
                    gate.pass()
                    throw Failure(9)
                }
            }.value()
            gate.open()
            // The OS thread reports as it lets go of the call, and is idle after that.
            _ = eventually { OffloadPool.endIdleThreads() == 0 }
        }
        let text = result.map { String(decoding: $0.standardErrorContent, as: UTF8.self) } ?? ""
        #expect(text.contains("GreenNet: offloaded call (late) failed: "))
    }

    // MARK: Calls that use their own pool

    @Test func `a call that submits to its own pool and waits finds an OS thread, whatever the limit`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try #expect(pool.submit { try pool.submit { 1 }.value() + 1 }.value() == 2)
            // With a deadline it is not made in place, and gets another OS thread.
            try #expect(
                pool.submit { try pool.submit { 1 }.value(until: .after(.seconds(60))) + 1 }.value() == 2)
            let sum = try pool.submit {
                let calls = try (0..<20).map { number in try pool.submit { number } }
                try joinAll(calls)
                let first = try waitAny([try pool.submit { 5 }])!
                return try calls.reduce(0) { try $0 + $1.value() } + first.value()
            }
            try #expect(sum.value() == 195)
            try eventuallyOnHub { pool.statistics.threads == 0 }
            #expect(pool.statistics.running == 0)
        }
    }

    @Test func `green threads that a call has spawned wait for calls of its pool`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let value = try pool.run {
                let threads = (0..<5).map { number in spawn { try pool.submit { number }.value() } }
                return try threads.map { try $0.value() }
            }
            #expect(value == [0, 1, 2, 3, 4])
        }
    }

    @Test func `a tree of calls that wait for each other needs few OS threads`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let crowd = Crowd()
            @Sendable func leaves(_ depth: Int) throws -> Int {
                if depth == 0 { return crowd.enter { 1 } }
                let (left, right) = (
                    try pool.submit { try leaves(depth - 1) }, try pool.submit { try leaves(depth - 1) }
                )
                return try left.value() + right.value()
            }
            try #expect(pool.submit { try leaves(10) }.value() == 1024)
            #expect(crowd.most <= 64)
        }
    }

    @Test func `while a call waits for others of its pool, no more than the limit compute`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let crowd = Crowd()
            let calls = try (0..<4).map { _ in
                try pool.submit {
                    let inner = try (0..<5).map { _ in
                        try pool.submit { crowd.enter { block(courseSeconds: 0.1) } }
                    }
                    try joinAll(inner)
                }
            }
            for call in calls { try call.value() }
            // An outer call whose wait is over may begin to run while an inner one still does.
            #expect(crowd.most <= 4)
            try eventuallyOnHub { pool.statistics.threads == 0 }
        }
    }

    // MARK: OS threads

    @Test func `an OS thread has the name of the pool whose call it runs`() throws {
        try onHub {
            let threads = ThreadCache()
            let pools = ["images", "a name of more than 15 bytes"].map {
                OffloadPool(limit: 1, name: $0, threads: threads)
            }
            try #expect(pools[0].run { LinuxCalls.threadName() } == "images")
            try eventuallyOnHub { pools[0].statistics.threads == 0 }
            try #expect(pools[1].run { LinuxCalls.threadName() } == "a name of more ")
            try #expect(OffloadPool(limit: 1, threads: threads).run { LinuxCalls.threadName() } == "offload")
            try eventuallyOnHub {
                threads.endIdle()
                return threads.count == 0
            }
        }
    }

    @Test func `a call ends with the system's error where no OS thread can be started`() throws {
        try onHub {
            let threads = ThreadCache(startThread: { (_) throws(SystemError) in throw SystemError(EAGAIN) })
            let pool = OffloadPool(limit: 2, threads: threads)
            let call = try pool.submit { 1 }
            #expect(throws: SystemError(EAGAIN)) { try call.value() }
            #expect(throws: SystemError(EAGAIN)) { try pool.map(1...3) { $0 } }
            #expect(pool.statistics.queued == 0 && pool.statistics.threads == 0)
        }
    }

    @Test func `the statistics count calls and OS threads`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let gate = Gate()
            let calls = try (0..<5).map { _ in try pool.submit { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 2 }
            calls[4].withdraw()
            let counts = pool.statistics
            #expect(counts.queued == 2 && counts.running == 2 && counts.threads == 2)
            #expect(counts.done == 0 && counts.givenUp == 0 && counts.withdrawn == 1)
            gate.open()
            try joinAll(calls)
            try eventuallyOnHub { pool.statistics.threads == 0 }
            #expect(pool.statistics.done == 4 && pool.statistics.running == 0)
        }
    }

    @Test func `a pool of the largest limit is one without`() throws {
        try onHub {
            let pool = OffloadPool(limit: .max, givenUpLimit: .max)
            let gate = Gate()
            let calls = try (0..<8).map { _ in try pool.submit { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 8 }
            #expect(throws: WaitError.deadlinePassed) { try pool.run(until: .after(.milliseconds(5))) { gate.pass() } }
            #expect(!pool.hangs)
            gate.open()
            try joinAll(calls)
            try #expect(pool.map(0..<3) { $0 } == [0, 1, 2])
        }
    }
}

private final class Token: Sendable {}

private enum Marks {
    @TaskLocal static var mark = 0
}

/// Notes, as it goes, whether that is on the OS thread that made it.
private final class Canary {
    private let notes: Notes
    private let own = pthread_self()

    init(_ notes: Notes) { self.notes = notes }

    deinit { notes.add(pthread_self() == own) }
}

private final class Notes: Sendable {
    private let all = Mutex<[Bool]>([])

    var list: [Bool] { all.withLock { $0 } }

    func add(_ isOwn: Bool) { all.withLock { $0.append(isOwn) } }
}

/// Takes the place of the test's hook for failures that no code has asked for, until the hub closes.
private final class FailureReports {
    var texts: [String] = []
    var sites: [SpawnSite?] = []

    init() {
        Hub.current.onUnobservedFailure = { failure in
            self.texts.append("\(failure)")
            self.sites.append(failure.spawnSite)
        }
    }
}
