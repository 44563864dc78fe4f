import GreenNet
import Synchronization
import TestSupport
import Testing

private enum Local {
    @TaskLocal static var name = "none"
}

private struct Refused: Error, Equatable { let number: Int }

@Suite struct `Awaiting async calls` {
    @Test func `a call that has its answer at once returns it`() throws {
        try onHub {
            let answer = try awaiting { await double(21) }
            #expect(answer == 42)
        }
    }

    @Test func `a call that is suspended lets the other green threads run`() throws {
        try onHub {
            var order: [String] = []
            spawn { order.append("other") }
            try awaiting {
                order.append("before")
                await Task.yield()
                await Task.yield()
                order.append("after")
            }
            #expect(order == ["before", "other", "after"])
        }
    }

    @Test func `what the body throws comes out`() throws {
        try onHub {
            #expect(throws: Refused(number: 7)) {
                try awaiting {
                    try await Task.sleep(for: .milliseconds(1))
                    throw Refused(number: 7)
                }
            }
        }
    }

    @Test func `the body runs on the green thread that calls, before and after a suspension`() throws {
        try onHub {
            let ids = try spawn { try greenThreadsOfBody() + [Greenlet.current.id] }.value()
            #expect(Set(ids).count == 1)
        }
    }

    @Test func `thousands wait at once on one OS thread`() throws {
        try onHub {
            let threads = (0..<5_000).map { number in
                spawn { try awaiting { try await sleepAndReturn(number) } }
            }
            var sum = 0
            for thread in threads { sum += try thread.value() }
            #expect(sum == 5_000 * 4_999 / 2)
        }
    }

    @Test func `the body sees the task-locals of the green thread, and binds its own`() throws {
        try onHub {
            let seen = try Local.$name.withValue("outer") {
                try awaiting { () async throws -> [String] in
                    await Task.yield()
                    let outer = Local.name
                    let inner = await Local.$name.withValue("inner") {
                        await Task.yield()
                        return Local.name
                    }
                    return [outer, inner, Local.name]
                }
            }
            #expect(seen == ["outer", "inner", "outer"])
            let none = try awaiting { Local.name }
            #expect(none == "none")
        }
    }

    @Test func `a priority is that of the task`() throws {
        try onHub {
            let priority = try awaiting(priority: .background) { Task.currentPriority }
            #expect(priority == .background)
        }
    }

    @Test func `a kill cancels the call, and the green thread ends as killed`() throws {
        try onHub {
            let wasCancelled = Atomic(false)
            let thread = spawn {
                try awaiting {
                    do { try await Task.sleep(for: .seconds(1_000)) } catch {
                        wasCancelled.store(Task.isCancelled, ordering: .relaxed)
                        throw error
                    }
                }
            }
            try Greenlet.yield()
            thread.kill()
            try thread.join()
            #expect(thread.state == .killed)
            let isTold = wasCancelled.load(ordering: .relaxed)
            #expect(isTold)
            // The next call runs as a task that was not cancelled.
            let isCancelled = try awaiting { Task.isCancelled }
            #expect(!isCancelled)
        }
    }

    @Test func `a time limit ends the call`() throws {
        try onHub {
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(5)) { try awaiting { try await Task.sleep(for: .seconds(1_000)) } }
            }
        }
    }

    @Test func `a value that comes in spite of the kill counts`() throws {
        try onHub {
            let thread = spawn {
                try awaiting { () async throws -> Int in
                    try? await Task.sleep(for: .seconds(1_000))
                    return 3
                }
            }
            try Greenlet.yield()
            thread.kill()
            let value = try thread.value()
            #expect(value == 3)
        }
    }

    @Test func `async code may call what parks, and is killed in it`() throws {
        try onHub {
            let gate = GreenEvent()
            let thread = spawn { try awaiting { try parking { try gate.wait() } } }
            try Greenlet.yield()
            thread.kill()
            try thread.join()
            #expect(thread.state == .killed)
        }
    }

    @Test func `the stack of the body is as large as that of the green thread`() throws {
        try onHub {
            for size in [64 << 10, 256 << 10, 1 << 20] {
                let left = try spawn(stackSize: size) { try awaiting { parking { Greenlet.stackLeft } } }.value()
                #expect(left > size / 2)
            }
            let own = Greenlet.stackLeft
            let left = try awaiting { parking { Greenlet.stackLeft } }
            #expect(left > own - (64 << 10))
        }
    }

    @Test func `a backtrace of a green thread that awaits is taken of the stack on which it waits`() throws {
        try onHub {
            let gate = GreenEvent()
            let thread = spawn(name: "awaits") { try awaiting { try parking { try gate.wait() } } }
            try Greenlet.yield()
            #expect(Hub.current.description.contains("awaits"))
            gate.set()
            try thread.join()
        }
    }

    @Test func `a hundred green threads await in turns, with the same few tasks`() throws {
        try onHub {
            let stacks = Hub.current.statistics.cachedStacks
            for _ in 0..<10 {
                let threads = (0..<100).map { number in
                    spawn {
                        try awaiting {
                            await Task.yield()
                            return await double(number)
                        }
                    }
                }
                for (number, thread) in threads.enumerated() {
                    let answer = try thread.value()
                    #expect(answer == 2 * number)
                }
            }
            #expect(Hub.current.statistics.cachedStacks <= stacks + 120)
        }
    }

    @Test func `calls nest`() throws {
        try onHub {
            let answer = try awaiting {
                await Task.yield()
                return try parking { try awaiting { await double(4) } } + 1
            }
            #expect(answer == 9)
        }
    }

    @Test func `child tasks run on the hub, and their waits do not hold each other up`() throws {
        try onHub {
            let gate = GreenEvent()
            nonisolated(unsafe) let unsafeGate = gate
            let sum = try awaiting {
                async let waiting = parking {
                    try unsafeGate.wait()
                    return 1
                }
                async let opening = parking {
                    unsafeGate.set()
                    return 2
                }
                return try await waiting + opening
            }
            #expect(sum == 3)
        }
    }

    @Test func `a continuation that another OS thread resumes ends the wait`() throws {
        try onHub {
            let answer = try awaiting {
                await withCheckedContinuation { continuation in
                    _ = TestThread { continuation.resume(returning: 5) }
                }
            }
            #expect(answer == 5)
        }
    }

    @Test func `an access that is open while async code parks is its own`() throws {
        try onHub {
            let account = Account()
            let threads = (0..<10).map { _ in
                spawn { try awaiting { try parking { try account.add() } } }
            }
            try joinAll(threads, throwing: true)
            #expect(account.visits == 10)
        }
    }

    @Test func `an abandoned call does not hold up the kill`() throws {
        try onHub {
            let (ended, go) = (RemoteResult<Bool>(), Handoff<Void>())
            let thread = spawn {
                try awaiting(abandoning: true) {
                    await withCheckedContinuation { continuation in
                        _ = TestThread {
                            _ = go.take(within: .seconds(30))
                            continuation.resume()
                        }
                    }
                    ended.set(Task.isCancelled)
                }
            }
            try Greenlet.yield()
            thread.kill()
            try thread.join()
            #expect(thread.state == .killed)
            #expect(!ended.isSet)
            go.give(())
            let wasCancelled = try ended.value()
            #expect(wasCancelled)
        }
    }

    @Test func `kills and time limits at random moments leave nothing behind`() throws {
        try onEverySeed(1000, .seconds(20)) { seed in
            var random = SeededRandom(seed: seed)
            let threads = (0..<20).map { number in
                let (pause, limit) = (Int.random(in: 0...20, using: &random), Int.random(in: 1...20, using: &random))
                return spawn {
                    try withTimeout(.milliseconds(limit)) {
                        try awaiting { try await sleepInPieces(pause, number) }
                    }
                }
            }
            for thread in threads where Bool.random(using: &random) {
                try Greenlet.sleep(for: .milliseconds(1))
                thread.kill()
            }
            try joinAll(threads)
            for (number, thread) in threads.enumerated() {
                switch thread.result! {
                case .success(let answer): #expect(answer == number)
                case .failure(let error): #expect(error.isTimeout || error.isCancellation, "\(error)")
                }
            }
        }
    }

    private func greenThreadsOfBody() throws -> [UInt64] {
        try awaiting {
            let first = parking { Greenlet.current.id }
            await Task.yield()
            let second = parking { Greenlet.current.id }
            try await Task.sleep(for: .milliseconds(1))
            return [first, second, parking { Greenlet.current.id }]
        }
    }
}

private func double(_ number: Int) async -> Int { number * 2 }

private func sleepAndReturn(_ number: Int) async throws -> Int {
    try await Task.sleep(for: .milliseconds(20))
    return number
}

private func sleepInPieces(_ pause: Int, _ number: Int) async throws -> Int {
    for piece in 0..<4 where pause > piece {
        await Task.yield()
        try await Task.sleep(for: .milliseconds(pause / 4))
    }
    return number
}

private final class Account {
    var visits = 0
    private var balance = 0

    /// Others may modify another property meanwhile, and this one afterwards.
    func add() throws {
        visits += 1
        try change(&balance)
    }

    private func change(_ amount: inout Int) throws { amount += 1 }
}
