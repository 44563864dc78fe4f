import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Tasks that prefer the executor of a hub.
struct HubExecutorTests {
    // MARK: Order and place

    @Test func `tasks run on the hub's OS thread in the order in which they came`() throws {
        try onHub {
            let seen = Mutex<[Int]>([])
            let here = osThread()
            let results = (0..<1000).map { number in
                started {
                    #expect(osThread() == here)
                    seen.withLock { $0.append(number) }
                }
            }
            for result in results { try result.value() }
            #expect(seen.withLock { $0 } == Array(0..<1000))
        }
    }

    @Test func `tasks of other OS threads run on the hub, those of each OS thread in order`() throws {
        try onHub {
            let (threads, count) = (4, Sanitizer.scaled(10_000, address: 2000, thread: 2000) / 4)
            let seen = Mutex(Array(repeating: [Int](), count: threads))
            let (here, executor) = (osThread(), Hub.current.executor)
            let left = RemoteSemaphore(0)
            let others = (0..<threads).map { number in
                TestThread {
                    for value in 0..<count {
                        Task(executorPreference: executor) { @Sendable in
                            #expect(osThread() == here)
                            seen.withLock { $0[number].append(value) }
                            left.release()
                        }
                    }
                }
            }
            for _ in 0..<threads * count { try left.acquire() }
            for other in others { try other.value() }
            #expect(seen.withLock { $0 } == Array(repeating: Array(0..<count), count: threads))
        }
    }

    @Test func `a sleep that is cancelled leaves no timer behind, however long it was`() throws {
        try onHub {
            let queue = Hub.current.executor.tasks.queue
            let tasks = (0..<1000).map { number in
                Task(executorPreference: Hub.current.executor) { try await Task.sleep(for: .seconds(3600 + number)) }
            }
            let kept = Task(executorPreference: Hub.current.executor) { try await Task.sleep(for: .seconds(9999)) }
            try waitUntil { queue.timerCount == 1001 }
            for task in tasks { task.cancel() }
            try waitUntil { queue.timerCount == 1 }
            let sleeping = spawn { try awaiting { try await Task.sleep(for: .seconds(3600)) } }
            try waitUntil { queue.timerCount == 2 }
            sleeping.kill()
            try sleeping.join()
            try waitUntil { queue.timerCount == 1 }
            kept.cancel()
            try waitUntil { queue.timerCount == 0 }
        }
    }

    @Test func `a task that sleeps again and again is woken when each sleep is over, beside cancelled ones`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let cancelled = (0..<100).map { number in
                Task(executorPreference: Hub.current.executor) { try await Task.sleep(for: .seconds(50 + number)) }
            }
            let woken = started {
                var woken: [Duration] = []
                for number in 1...10 {
                    try await Task.sleep(for: .seconds(number))
                    woken.append(.now - start)
                    cancelled[number * 9].cancel()
                }
                return woken
            }
            let moments = try woken.value()
            for (moment, expected) in zip(moments, [1, 3, 6, 10, 15, 21, 28, 36, 45, 55]) {
                // The runtime counts from its own clock's reading, which is real.
                #expect(abs((moment - .seconds(expected)).nanoseconds) < 100_000_000)
            }
            for task in cancelled { task.cancel() }
        }
    }

    @Test func `a task does not see the green-thread-local values that another task has set`() throws {
        try onHub {
            let local = GreenLocal<Int>(0)
            let seen = Mutex<[Int]>([])
            for number in 1...3 {
                try asTask {
                    seen.withLock { $0.append(parking { local.value }) }
                    parking { local.value = number }
                    seen.withLock { $0.append(parking { local.value }) }
                }
            }
            #expect(seen.withLock { $0 } == [0, 1, 0, 2, 0, 3])
        }
    }

    @Test func `a task that is resumed by another OS thread goes on on the hub`() throws {
        try onHub {
            let here = osThread()
            let (continuations, executor) = (Handoff<UnsafeContinuation<Int, Never>>(), Hub.current.executor)
            let other = TestThread { continuations.take()!.resume(returning: osThread() == here ? 1 : 2) }
            let value = try asTask {
                let value = await withUnsafeContinuation { continuations.give($0) }
                #expect(osThread() == here)
                return value
            }
            #expect(value == 2)
            try other.value()
            _ = executor
        }
    }

    @Test func `a task's job runs on a green thread, which may wait`() throws {
        try onHub {
            try asTask {
                #expect(parking { Greenlet.current.name } == "tasks")
                #expect(parking { Greenlet.current.state } == .running)
            }
        }
    }

    @Test func `child tasks and task groups run on the hub`() throws {
        try onHub {
            let here = osThread()
            let sum = try asTask {
                async let one = osThread() == here ? 1 : 0
                let others = await withTaskGroup(of: Int.self) { group in
                    for _ in 0..<100 { group.addTask { osThread() == here ? 1 : 0 } }
                    return await group.reduce(0, +)
                }
                return await one + others
            }
            #expect(sum == 101)
        }
    }

    // MARK: Jobs that wait

    @Test func `a job that waits does not stop other tasks`() throws {
        try onHub {
            let (channel, seen) = (RemoteChannel<Int>(), Numbers())
            let waiting = started { try parking { try channel.take() } }
            let others = (0..<100).map { number in started { seen.add(number) } }
            for other in others { try other.value() }
            #expect(!waiting.isSet)
            try channel.put(7)
            let value = try waiting.value()
            #expect(value == 7)
            #expect(seen.all == Array(0..<100))
        }
    }

    @Test func `a thousand jobs wait at a time, each with its own task-local value`() throws {
        try onHub {
            let count = Sanitizer.scaled(1000, address: 200, thread: 100)
            let results = (0..<count).map { number in
                started {
                    try await JobLocal.$number.withValue(number) {
                        for _ in 0..<3 {
                            try parking { try Greenlet.sleep(for: .milliseconds(number % 5 + 1)) }
                            #expect(JobLocal.number == number)
                            await Task.yield()
                        }
                        return JobLocal.number
                    }
                }
            }
            let numbers = try results.map { try $0.value() }
            #expect(numbers == Array(0..<count))
            // Most of the runners have ended, a few rest.
            try Hub.current.run()
            let runners = Hub.current.scheduler.living.count
            #expect(runners <= TaskQueue.restingLimit)
        }
    }

    @Test func `a hub that closes kills the wait of a job`() throws {
        let caught = Atomic(false)
        try onOSThread {
            _ = started {
                do { try parking { try Greenlet.sleep(for: .seconds(60)) } } catch {
                    caught.store((error as? WaitError) == .cancelled, ordering: .relaxed)
                }
            }
            try Greenlet.yield()
            Hub.current.close()
        }
        let isCancelled = caught.load(ordering: .relaxed)
        #expect(isCancelled)
    }

    @Test func `a runner that the program kills is replaced`() throws {
        try onHub {
            try asTask { parking { Greenlet.current.kill() } }
            try asTask { try parking { try Greenlet.sleep(for: .milliseconds(1)) } }
        }
    }

    // MARK: Fairness

    @Test func `green threads run after 64 jobs of tasks that never suspend for long`() throws {
        try onHub {
            let isOver = Atomic(false)
            let jobs = Atomic(0)
            let task = started {
                while !isOver.load(ordering: .relaxed) {
                    jobs.add(1, ordering: .relaxed)
                    await Task.yield()
                }
            }
            while jobs.load(ordering: .relaxed) == 0 { try Greenlet.yield() }
            for _ in 0..<100 {
                let before = jobs.load(ordering: .relaxed)
                try Greenlet.yield()
                #expect(jobs.load(ordering: .relaxed) - before <= TaskQueue.jobsPerTurn)
            }
            isOver.store(true, ordering: .relaxed)
            try task.value()
        }
    }

    // MARK: Sleeping

    @Test func `a thousand tasks sleep on one OS thread, without stacks`() throws {
        try onHub {
            let results = (0..<1000).map { _ in started { try await Task.sleep(for: .milliseconds(100)) } }
            let time = try elapsed {
                try Hub.current.run()
                #expect(Hub.current.statistics.greenThreads == 0)
                for result in results { try result.value() }
            }
            #expect(time < .milliseconds(100) + slack)
        }
    }

    @Test func `a task never wakes before its time, and tasks wake in the order of their times`() throws {
        try onHub {
            let order = Mutex<[Int]>([])
            let results = [30, 10, 20, 40, 5].map { milliseconds in
                started {
                    let start = Deadline.now
                    try await Task.sleep(for: .milliseconds(milliseconds))
                    #expect(.now - start >= .milliseconds(milliseconds))
                    order.withLock { $0.append(milliseconds) }
                }
            }
            for result in results { try result.value() }
            #expect(order.withLock { $0 } == [5, 10, 20, 30, 40])
        }
    }

    @Test func `a sleep is cancelled at once`() throws {
        try onHub {
            let result = RemoteResult<Bool>()
            let task = Task(executorPreference: Hub.current.executor) {
                do { try await Task.sleep(for: .milliseconds(300)) } catch { result.set(error is CancellationError) }
            }
            try Greenlet.yield()
            task.cancel()
            let start = Deadline.now
            let isCancelled = try result.value()
            let time = Deadline.now - start
            #expect(isCancelled)
            #expect(time < .milliseconds(250))
            // The hub would hand what is left of the sleep to the global executor when it closes.
            try Greenlet.sleep(for: .milliseconds(300))
        }
    }

    @Test func `every way to sleep wakes on the hub`() throws {
        try onHub {
            let here = osThread()
            try asTask {
                try await Task.sleep(nanoseconds: 1_000_000)
                try await Task.sleep(until: .now + .milliseconds(1), clock: .suspending)
                try await Task.sleep(until: .now + .milliseconds(1), clock: .continuous)
                try await Task.sleep(until: .now - .milliseconds(1), clock: .continuous)
                try await ContinuousClock().sleep(for: .zero)
                #expect(osThread() == here)
            }
        }
    }

    @Test func `virtual time jumps to the end of a sleep`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let task = started { try await Task.sleep(for: .seconds(3600)) }
            let order = Mutex<[String]>([])
            let short = started {
                try await Task.sleep(for: .seconds(60))
                order.withLock { $0.append("task") }
            }
            try Greenlet.sleep(for: .seconds(30))
            order.withLock { $0.append("green thread") }
            try short.value()
            #expect(.now - start < .seconds(61))
            try task.value()
            #expect(order.withLock { $0 } == ["green thread", "task"])
            #expect(.now - start >= .seconds(3600) - .milliseconds(100))
            #expect(.now - start < .seconds(3601))
        }
    }

    @Test func `a job that comes when the timekeeper's time has just come runs, and the runner is counted once`() throws
    {
        try onHub {
            let sleeper = started { try await Task.sleep(for: .milliseconds(1)) }
            try Greenlet.yield()
            burn(.milliseconds(2))
            Hub.current.scheduler.wakeOverdue()
            let other = started {}
            try Hub.current.run(until: .after(.seconds(10)))
            #expect(Hub.current.statistics.greenThreads == 0)
            #expect(sleeper.isSet && other.isSet)
        }
    }

    // MARK: What the hub waits for

    @Test func `run waits for jobs that are ready, and not for a task that sleeps`() throws {
        try onHub {
            let count = Atomic(0)
            let sleeper = started { try await Task.sleep(for: .milliseconds(300)) }
            for _ in 0..<200 { _ = started { count.add(1, ordering: .relaxed) } }
            try Hub.current.run()
            #expect(count.load(ordering: .relaxed) == 200)
            #expect(!sleeper.isSet)
            try sleeper.value()
        }
    }

    @Test func `a dump shows no resting runner`() throws {
        try onHub {
            try asTask {}
            try Greenlet.yield()
            #expect(Hub.current.statistics.greenThreads == 0)
            #expect(!Hub.current.description.contains("tasks"))
        }
    }

    @Test func `a sleeping task keeps a hub from being blocked for ever`() throws {
        try onHub {
            let event = GreenEvent()
            nonisolated(unsafe) let shared = event
            Task(executorPreference: Hub.current.executor) {
                try await Task.sleep(for: .milliseconds(20))
                shared.set()
            }
            try event.wait()
        }
    }

    @Test func `onSpawn does not see the runner`() throws {
        try onHub {
            let spawned = Atomic(0)
            Hub.current.onSpawn = { _ in spawned.add(1, ordering: .relaxed) }
            try asTask {}
            Hub.current.onSpawn = nil
            #expect(spawned.load(ordering: .relaxed) == 0)
        }
    }

    // MARK: The end of the hub

    @Test func `jobs that are ready when the hub closes run before its end`() throws {
        let count = Atomic(0)
        try onOSThread {
            for _ in 0..<1000 { _ = started { count.add(1, ordering: .relaxed) } }
            Hub.current.close()
            #expect(count.load(ordering: .relaxed) == 1000)
        }
    }

    @Test func `an OS thread's second hub has an executor of its own`() throws {
        try onOSThread {
            let first = Hub.current.executor
            try asTask {}
            Hub.current.close()
            #expect(Hub.current.executor !== first)
            try asTask {}
            Hub.current.close()
        }
    }
}

private enum JobLocal { @TaskLocal static var number = -1 }

/// Numbers in the order in which they came.
private final class Numbers: Sendable {
    private let list = Mutex<[Int]>([])

    var all: [Int] { list.withLock { $0 } }

    func add(_ number: Int) { list.withLock { $0.append(number) } }
}
