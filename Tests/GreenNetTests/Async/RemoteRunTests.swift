import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Tasks that run code on a green thread of a hub.
struct RemoteRunTests {
    @Test func `run returns what the body returns, and throws what it throws`() throws {
        try onHub {
            let remote = Hub.current.remote
            let hub = ObjectIdentifier(Hub.current)
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    let sum = try await remote.run(name: "sum") { () -> Int in
                        #expect(ObjectIdentifier(Hub.current) == hub)
                        #expect(Greenlet.current.name == "sum")
                        #expect(Greenlet.current.spawnSite.map { "\($0)" }?.contains("RemoteRunTests") == true)
                        try Greenlet.sleep(for: .milliseconds(1))
                        return 1 + 2
                    }
                    #expect(sum == 3)
                    await #expect(throws: Failure(1)) { try await remote.run { throw Failure(1) } }
                    await #expect(throws: WaitError.deadlinePassed) {
                        try await remote.run { _ = try RemoteResult<Void>().value(until: .now) }
                    }
                }
                try task.value()
            }
        }
    }

    @Test func `what a body throws is the task's alone, and no unobserved failure`() throws {
        try onHub {
            Hub.current.onUnobservedFailure = { Issue.record("\($0) was reported") }
            let remote = Hub.current.remote
            try TaskThreads.with { tasks in
                let isCaught = Mutex(false)
                let task = tasks.start {
                    await #expect(throws: Failure(1)) {
                        try await remote.run {
                            // So the hub is the last that holds the green thread.
                            blockedAtEnd.value = AtEnd {
                                #expect(eventually(within: .seconds(10)) { isCaught.withLock { $0 } })
                            }
                            throw Failure(1)
                        }
                    }
                    isCaught.withLock { $0 = true }
                }
                try task.value()
            }
        }
    }

    @Test func `many tasks wait at once, on few OS threads`() throws {
        try onHub {
            let remote = Hub.current.remote
            let count = Sanitizer.scaled(1000, address: 300, thread: 200)
            try TaskThreads.with { threads in
                let length = try elapsed {
                    let tasks = (0..<count).map { number in
                        threads.start {
                            try await remote.run {
                                try Greenlet.sleep(for: .milliseconds(50))
                                return number
                            }
                        }
                    }
                    try #expect(tasks.map { try $0.value() } == Array(0..<count))
                }
                #expect(length < .milliseconds(50) + slack)
            }
        }
    }

    @Test func `the green thread has the task-locals of the task, and keeps its own to itself`() throws {
        try onHub {
            let remote = Hub.current.remote
            @Sendable func read() -> String { "\(Request.id) \(Request.name)" }
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    var seen = [try await remote.run { read() }]
                    try await Request.$id.withValue(1) {
                        try await Request.$name.withValue("a") {
                            seen.append(try await remote.run { read() })
                            async let child = Request.$id.withValue(2) {
                                try await remote.run {
                                    try Greenlet.yield()
                                    return Request.$name.withValue("own") { read() }
                                }
                            }
                            seen.append(try await child)
                        }
                        seen.append(try await remote.run { read() })
                    }
                    return seen
                }
                try #expect(task.value() == ["0 none", "1 a", "2 own", "1 none"])
                #expect(read() == "0 none")
            }
        }
    }

    // MARK: Cancelling

    @Test func `cancelling a task kills its green thread, and waits until it has unwound`() throws {
        try onHub {
            let (remote, began) = (Hub.current.remote, RemoteResult<Void>())
            let isUnwound = RemoteResult<Void>()
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    try await remote.run {
                        defer {
                            shielded { try? Greenlet.sleep(for: .milliseconds(5)) }
                            isUnwound.set(())
                        }
                        began.set(())
                        try Greenlet.sleep(until: .never)
                    }
                }
                try began.value()
                task.cancel()
                #expect(throws: CancellationError.self) { try task.value() }
                #expect(isUnwound.isSet)
            }
        }
    }

    @Test func `a body that is killed may still end with a value or an error of its own`() throws {
        try onHub {
            let remote = Hub.current.remote
            try TaskThreads.with { tasks in
                func end(_ body: @escaping @Sendable (any Error) throws -> Int) throws -> Int {
                    let began = RemoteResult<Void>()
                    let task = tasks.start {
                        try await remote.run {
                            began.set(())
                            do { try Greenlet.sleep(until: .never) } catch { return try body(error) }
                            return 0
                        }
                    }
                    try began.value()
                    task.cancel()
                    return try task.value()
                }
                try #expect(end { $0 as? WaitError == .cancelled ? 1 : 2 } == 1)
                #expect(throws: Failure(3)) { try end { _ in throw Failure(3) } }
            }
        }
    }

    @Test func `a task that was cancelled before does not begin its body`() throws {
        try onHub {
            let remote = Hub.current.remote
            try TaskThreads.with { tasks in
                let goes = RemoteResult<Void>()
                let task = tasks.start {
                    try? await goes.value()
                    try await remote.run { fail("runs, though its task was cancelled") }
                }
                task.cancel()
                goes.set(())
                #expect(throws: CancellationError.self) { try task.value() }
            }
        }
    }

    @Test func `a task that is cancelled while its hub is busy does not begin its body`() throws {
        try onHub {
            let remote = Hub.current.remote
            try TaskThreads.with(1) { tasks in
                let sent = Handoff<Void>()
                let task = tasks.start {
                    try await remote.run { fail("runs, though its task was cancelled") }
                }
                // On the same OS thread, and so after the first task waits.
                let second = tasks.start {
                    task.cancel()
                    sent.give()
                }
                // Blocks this hub.
                #expect(sent.take() != nil)
                #expect(throws: CancellationError.self) { try task.value() }
                try second.value()
            }
        }
    }

    @Test func `cancelling after the end changes nothing`() throws {
        try onHub {
            let remote = Hub.current.remote
            try TaskThreads.with { tasks in
                let (ran, goes) = (RemoteResult<Void>(), RemoteResult<Void>())
                let task = tasks.start {
                    let value = try await remote.run { 1 }
                    ran.set(())
                    try? await goes.value()
                    return value
                }
                try ran.value()
                task.cancel()
                goes.set(())
                try #expect(task.value() == 1)
            }
        }
    }

    // MARK: Hubs that close

    @Test func `a hub that has closed, or is closing, refuses`() throws {
        try onHub {
            try TaskThreads.with { tasks in
                let (remote, isClosing) = try TestThread {
                    let remote = Hub.current.remote
                    let isClosing = spawn { () -> TestTask<Void> in
                        do { try Greenlet.sleep(until: .never) } catch {}
                        let task = tasks.start { try await remote.run { fail("runs, though the hub closes") } }
                        // It must be refused before this hub has closed.
                        _ = eventually { task.result.isSet }
                        return task
                    }
                    try Greenlet.yield()
                    Hub.current.close()
                    return (remote, try isClosing.result!.get())
                }.value()
                #expect(throws: WaitError.closed) { try isClosing.value() }
                let closed = tasks.start { try await remote.run { fail("runs, though the hub has closed") } }
                #expect(throws: WaitError.closed) { try closed.value() }
            }
        }
    }

    @Test func `a hub that closes ends the calls under way`() throws {
        try onHub {
            try TaskThreads.with { tasks in
                let (door, began) = (RemoteResult<RemoteHub>(), RemoteChannel<Void>())
                let other = TestThread {
                    door.set(Hub.current.remote)
                    for _ in 0..<3 { try began.take() }
                    Hub.current.close()
                }
                let remote = try door.value()
                func start(_ body: @escaping @Sendable () throws -> Int) -> TestTask<Int> {
                    tasks.start {
                        try await remote.run {
                            _ = try began.tryPut(())
                            return try body()
                        }
                    }
                }
                let waiting = start { try RemoteResult<Int>().value() }
                let caught = start { (try? RemoteResult<Int>().value()) ?? 2 }
                let failing = start {
                    do { return try RemoteResult<Int>().value() } catch { throw Failure(3) }
                }
                #expect(throws: WaitError.closed) { try waiting.value() }
                try #expect(caught.value() == 2)
                #expect(throws: Failure(3)) { try failing.value() }
                try other.value()
            }
        }
    }

    @Test func `a body that the hub has accepted and not begun is refused when the hub closes`() throws {
        try onHub {
            try TaskThreads.with(1) { tasks in
                let task = try TestThread {
                    let remote = Hub.current.remote
                    let sent = Handoff<Void>()
                    let task = tasks.start { try await remote.run { fail("runs, though the hub has closed") } }
                    // On the same OS thread, and so after the first task waits.
                    _ = tasks.start { sent.give() }
                    #expect(sent.take() != nil)
                    Hub.current.close()
                    return task
                }.value()
                #expect(throws: WaitError.closed) { try task.value() }
            }
        }
    }

    // MARK: At random

    @Test func `whatever is cancelled or closed when, each task ends once, as its body did`() throws {
        try onHub(.seconds(120)) {
            try TaskThreads.with { tasks in
                for seed in 0..<UInt64(Sanitizer.scaled(1000, address: 300, thread: 100)) {
                    try expectEnds(seed, tasks)
                }
            }
        }
    }

    private func expectEnds(_ seed: UInt64, _ threads: TaskThreads) throws {
        let door = RemoteResult<RemoteHub>()
        let hub = TestThread {
            var random = SeededRandom(seed: seed)
            door.set(Hub.current.remote)
            for _ in 0..<Int.random(in: 0..<8, using: &random) {
                try Greenlet.sleep(for: .microseconds(Int.random(in: 0..<100, using: &random)))
            }
            Hub.current.close()
        }
        let remote = try door.value()
        var random = SeededRandom(seed: seed + 1_000_000)
        let (begun, ended) = (Tally(), Tally())
        let tasks = (0..<8).map { number in
            let yields = Int.random(in: 0..<20, using: &random)
            return threads.start {
                try await remote.run { () -> Int in
                    begun.count.add(1, ordering: .relaxed)
                    defer { ended.count.add(1, ordering: .relaxed) }
                    for _ in 0..<yields { try Greenlet.yield() }
                    if yields % 4 == 0 { throw Failure(number) }
                    if yields % 4 == 1 { try Greenlet.sleep(for: .seconds(60)) }
                    return number
                }
            }
        }
        for task in tasks where Bool.random(using: &random) {
            if Bool.random(using: &random) { try Greenlet.yield() }
            task.cancel()
        }
        for (number, task) in tasks.enumerated() {
            do {
                let value = try task.value()
                #expect(value == number, "seed \(seed)")
            } catch let error as WaitError {
                #expect(error == .closed, "seed \(seed)")
            } catch {
                #expect(error is CancellationError || error as? Failure == Failure(number), "seed \(seed)")
            }
        }
        #expect(begun.count.load(ordering: .relaxed) == ended.count.load(ordering: .relaxed), "seed \(seed)")
        try hub.value()
    }
}

private enum Request {
    @TaskLocal static var id = 0
    @TaskLocal static var name = "none"
}

private final class Tally: Sendable {
    let count = Atomic(0)
}

private func fail(_ text: Comment) { Issue.record(text) }

private let blockedAtEnd = GreenLocal<AtEnd?>(nil)

/// Calls `body` when it is released.
private final class AtEnd {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }

    deinit { body() }
}
