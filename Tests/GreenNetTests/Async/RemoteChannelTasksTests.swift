import TestSupport
import Testing

@testable import GreenNet

/// Channels, results and semaphores between green threads and tasks.
struct RemoteChannelTasksTests {
    @Test(arguments: [nil, 0, 1, 100])
    func `items pass from tasks to a hub, each once, those of each task in order`(limit: Int?) throws {
        try onHub {
            let channel = RemoteChannel<(giver: Int, number: Int)>(limit: limit)
            let count = Sanitizer.scaled(1000, address: 300, thread: 200)
            try TaskThreads.with { tasks in
                let givers = (0..<3).map { giver in
                    tasks.start { for number in 0..<count { try await channel.put((giver, number)) } }
                }
                var seen = Array(repeating: [Int](), count: 3)
                for _ in 0..<3 * count {
                    let item = try channel.take()
                    seen[item.giver].append(item.number)
                }
                for giver in givers { try giver.value() }
                #expect(seen == Array(repeating: Array(0..<count), count: 3))
            }
        }
    }

    @Test(arguments: [nil, 0, 1, 100])
    func `several tasks take from one channel until it is closed`(limit: Int?) throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: limit)
            try TaskThreads.with { tasks in
                let takers = (0..<3).map { _ in
                    tasks.start {
                        var taken: [Int] = []
                        for try await item in channel { taken.append(item) }
                        return taken
                    }
                }
                let count = Sanitizer.scaled(1000, address: 300, thread: 200)
                for number in 0..<count { try channel.put(number) }
                channel.close()
                let taken = try takers.map { try $0.value() }
                #expect(taken.allSatisfy { $0 == $0.sorted() })
                #expect(taken.joined().sorted() == Array(0..<count))
                let late = tasks.start {
                    await #expect(throws: WaitError.closed) { try await channel.put(1) }
                    await #expect(throws: WaitError.closed) { try await channel.take() }
                    try await #expect(channel.next() == nil)
                }
                try late.value()
            }
        }
    }

    @Test func `closing ends the waits of tasks`() throws {
        try onHub {
            let (full, empty) = (RemoteChannel<Int>(limit: 0), RemoteChannel<Int>())
            try TaskThreads.with { tasks in
                let putter = tasks.start { try await full.put(1) }
                let taker = tasks.start { try await empty.take() }
                try full.wait(putters: 1)
                try empty.wait(takers: 1)
                full.close()
                empty.close()
                #expect(throws: WaitError.closed) { try putter.value() }
                #expect(throws: WaitError.closed) { try taker.value() }
            }
        }
    }

    @Test func `green threads and tasks together are served in the order in which they came`() throws {
        try onHub {
            try TaskThreads.with { tasks in
                let (channel, served) = (RemoteChannel<Int>(), RemoteChannel<(waiter: Int, item: Int)>())
                for number in 0..<20 {
                    if number % 2 == 0 {
                        spawn { try served.put((number, channel.take())) }
                    } else {
                        _ = tasks.start { try await served.put((number, channel.take())) }
                    }
                    try channel.wait(takers: number + 1)
                }
                for item in 0..<20 { try channel.put(item) }
                for _ in 0..<20 {
                    let (waiter, item) = try served.take()
                    #expect(waiter == item)
                }
                let full = RemoteChannel<Int>(limit: 0)
                for number in 0..<20 {
                    if number % 2 == 0 {
                        spawn { try full.put(number) }
                    } else {
                        _ = tasks.start { try await full.put(number) }
                    }
                    try full.wait(putters: number + 1)
                }
                for number in 0..<20 { try #expect(full.take() == number) }
            }
        }
    }

    // MARK: Cancelling

    @Test func `a task that is cancelled leaves no trace`() throws {
        try onHub {
            try TaskThreads.with { tasks in
                let channel = RemoteChannel<Int>(limit: 0)
                let putter = tasks.start { try await channel.put(1) }
                try channel.wait(putters: 1)
                putter.cancel()
                #expect(throws: CancellationError.self) { try putter.value() }
                #expect(channel.tryTake() == nil)
                let taker = tasks.start { try await channel.take() }
                try channel.wait(takers: 1)
                taker.cancel()
                #expect(throws: CancellationError.self) { try taker.value() }
                try #expect(!channel.tryPut(2))
                let loop = tasks.start { for try await _ in channel {} }
                try channel.wait(takers: 1)
                loop.cancel()
                #expect(throws: CancellationError.self) { try loop.value() }
                try #expect(!channel.tryPut(3))
            }
        }
    }

    @Test func `a task that was cancelled before takes and puts nothing`() throws {
        try onHub {
            let channel = RemoteChannel<Int>()
            try channel.put(1)
            let goes = RemoteResult<Void>()
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    // Not cancelled by that: it was set before.
                    try? await goes.value()
                    while !Task.isCancelled { await Task.yield() }
                    await #expect(throws: CancellationError.self) { try await channel.take() }
                    await #expect(throws: CancellationError.self) { try await channel.put(2) }
                    for try await _ in channel { Issue.record("an item was taken") }
                }
                task.cancel()
                goes.set(())
                #expect(throws: CancellationError.self) { try task.value() }
                #expect(channel.tryTake() == 1)
                #expect(channel.tryTake() == nil)
            }
        }
    }

    @Test func `tasks that are cancelled at any moment lose no item`() throws {
        try onHub(.seconds(120)) {
            let channel = RemoteChannel<Int>(limit: 2)
            let count = Sanitizer.scaled(2000, address: 500, thread: 300)
            let giver = spawn {
                for number in 0..<count { try channel.put(number) }
                channel.close()
            }
            try TaskThreads.with { tasks in
                var (random, taken) = (SeededRandom(seed: 4), [Int]())
                // Where another OS thread starts slowly, each task would be cancelled before it takes.  So the moments spread until one took.
                var moments = 30
                while taken.count < count {
                    let taker = tasks.start {
                        var items: [Int] = []
                        do { for try await item in channel { items.append(item) } } catch { #expect(Task.isCancelled) }
                        return items
                    }
                    for _ in 0..<Int.random(in: 0..<moments, using: &random) { try Greenlet.yield() }
                    taker.cancel()
                    let items = try taker.value()
                    moments = items.isEmpty ? moments * 2 : 30
                    taken += items
                }
                try giver.value()
                #expect(taken == Array(0..<count))
            }
        }
    }

    @Test func `tasks that are cancelled at any moment put their item or do not`() throws {
        try onHub(.seconds(120)) {
            let channel = RemoteChannel<Int>(limit: 1)
            try TaskThreads.with { tasks in
                var (random, put) = (SeededRandom(seed: 5), [Int]())
                let taker = spawn {
                    var taken: [Int] = []
                    while let item = try channel.next() { taken.append(item) }
                    return taken
                }
                for number in 0..<Sanitizer.scaled(1000, address: 300, thread: 200) {
                    let putter = tasks.start { try await channel.put(number) }
                    for _ in 0..<Int.random(in: 0..<20, using: &random) { try Greenlet.yield() }
                    putter.cancel()
                    do {
                        try putter.value()
                        put.append(number)
                    } catch is CancellationError {}
                }
                channel.close()
                try #expect(taker.value() == put)
            }
        }
    }

    // MARK: Results and semaphores

    @Test func `a result resumes tasks and green threads`() throws {
        try onHub {
            let (result, failure) = (RemoteResult<Int>(), RemoteResult<Int>())
            try TaskThreads.with { threads in
                let tasks = (0..<10).map { _ in
                    threads.start {
                        try await result.wait()
                        return try await result.value()
                    }
                }
                let failing = threads.start { try await failure.value() }
                let greenlet = spawn { try result.value() }
                try result.wait(waiters: 11)
                result.set(7)
                failure.fail(Failure(1))
                try #expect(tasks.map { try $0.value() } == Array(repeating: 7, count: 10))
                try #expect(greenlet.value() == 7)
                #expect(throws: Failure(1)) { try failing.value() }
                #expect(result.withState { $0.waiters.isEmpty })
            }
        }
    }

    @Test func `cancelling ends a wait for a result that is not set`() throws {
        try onHub {
            let result = RemoteResult<Int>()
            try TaskThreads.with { tasks in
                let waiter = tasks.start { try await result.value() }
                try result.wait(waiters: 1)
                waiter.cancel()
                #expect(throws: CancellationError.self) { try waiter.value() }
                #expect(result.withState { $0.waiters.isEmpty })
                result.set(3)
                let late = tasks.start {
                    while !Task.isCancelled { await Task.yield() }
                    return try await result.value()
                }
                late.cancel()
                try #expect(late.value() == 3)
            }
        }
    }

    @Test func `tasks and hubs that contend for one permit all finish, and never two hold it`() throws {
        try onHub {
            let (semaphore, count) = (RemoteSemaphore(), Unguarded())
            let rounds = Sanitizer.scaled(2000, address: 500, thread: 300)
            try TaskThreads.with { threads in
                let tasks = (0..<3).map { _ in
                    threads.start {
                        for _ in 0..<rounds {
                            try await semaphore.withPermit {
                                let before = count.value
                                if before % 7 == 0 { await Task.yield() }
                                count.value = before + 1
                            }
                        }
                    }
                }
                let greenlets = (0..<3).map { _ in
                    spawn { for _ in 0..<rounds { try semaphore.withPermit { count.value += 1 } } }
                }
                for task in tasks { try task.value() }
                for greenlet in greenlets { try greenlet.value() }
                #expect(count.value == 6 * rounds)
                #expect(semaphore.available == 1)
            }
        }
    }

    @Test func `a task that is cancelled takes no permit`() throws {
        try onHub {
            let semaphore = RemoteSemaphore(0)
            try TaskThreads.with { tasks in
                let task = tasks.start { try await semaphore.withPermit { Issue.record("runs without a permit") } }
                try semaphore.permits.wait(takers: 1)
                task.cancel()
                #expect(throws: CancellationError.self) { try task.value() }
                semaphore.release()
                #expect(semaphore.available == 1)
            }
        }
    }
}

/// Guarded by the semaphore of the test that uses it.
private final class Unguarded: @unchecked Sendable {
    var value = 0
}

extension RemoteChannel {
    /// Waits until so many wait at the channel.
    fileprivate func wait(takers: Int = 0, putters: Int = 0) throws {
        while locked({ $0.takers.count != takers || $0.putters.count != putters }) {
            try Greenlet.sleep(for: .microseconds(50))
        }
    }
}

extension RemoteResult {
    fileprivate func wait(waiters: Int) throws {
        while withState({ $0.waiters.count != waiters }) { try Greenlet.sleep(for: .microseconds(50)) }
    }
}
