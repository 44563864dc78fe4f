import GreenNet
import Synchronization
import TestSupport
import Testing

private enum Local {
    @TaskLocal static var name = "none"
}

private struct Refused: Error, Equatable { let number: Int }

/// A test's green threads inherit its task-locals, so each `awaiting` makes a task; with `inheriting` false, they use tasks that rest.
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

    @Test(arguments: [true, false])
    func `the body runs on the green thread that calls, before and after a suspension`(inheriting: Bool) throws {
        try onHub {
            let ids = try spawn(inheriting: inheriting) { try greenThreadsOfBody() + [Greenlet.current.id] }.value()
            #expect(Set(ids).count == 1)
        }
    }

    @Test(arguments: [true, false])
    func `thousands wait at once on one OS thread`(inheriting: Bool) throws {
        try onHub {
            let threads = (0..<5_000).map { number in
                spawn(inheriting: inheriting) { try awaiting { try await sleepAndReturn(number) } }
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

    @Test(arguments: [true, false])
    func `a kill cancels the call, and the green thread ends as killed`(inheriting: Bool) throws {
        try onHub {
            let wasCancelled = Atomic(false)
            let thread = spawn(inheriting: inheriting) {
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

    @Test(arguments: [true, false])
    func `a value that comes in spite of the kill counts`(inheriting: Bool) throws {
        try onHub {
            let thread = spawn(inheriting: inheriting) {
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

    @Test(arguments: [true, false])
    func `async code may call what parks, and is killed in it`(inheriting: Bool) throws {
        try onHub {
            let gate = GreenEvent()
            let thread = spawn(inheriting: inheriting) { try awaiting { try parking { try gate.wait() } } }
            try Greenlet.yield()
            thread.kill()
            try thread.join()
            #expect(thread.state == .killed)
        }
    }

    @Test(arguments: [true, false])
    func `the stack of the body is as large as that of the green thread`(inheriting: Bool) throws {
        try onHub {
            for size in [64 << 10, 256 << 10, 1 << 20] {
                let left = try spawn(stackSize: size, inheriting: inheriting) {
                    try awaiting { parking { Greenlet.stackLeft } }
                }.value()
                #expect(left > size / 2)
            }
            let own = Greenlet.stackLeft
            let left = try awaiting { parking { Greenlet.stackLeft } }
            #expect(left > own - (64 << 10))
        }
    }

    @Test(arguments: [true, false])
    func `a backtrace of a green thread that awaits is taken of the stack on which it waits`(inheriting: Bool) throws {
        try onHub {
            let gate = GreenEvent()
            let thread = spawn(name: "awaits", inheriting: inheriting) {
                try awaiting { try parking { try gate.wait() } }
            }
            try Greenlet.yield()
            #expect(Hub.current.description.contains("awaits"))
            gate.set()
            try thread.join()
        }
    }

    @Test(arguments: [true, false])
    func `a hundred green threads await in turns, with the same few tasks`(inheriting: Bool) throws {
        try onHub {
            let stacks = Hub.current.statistics.cachedStacks
            for _ in 0..<10 {
                let threads = (0..<100).map { number in
                    spawn(inheriting: inheriting) {
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

    @Test func `tasks that rest run what suspends, nests, has children and is answered by other OS threads`() throws {
        try onHub {
            let threads = (0..<50).map { number in
                spawn(inheriting: false) {
                    var sum = 0
                    for _ in 0..<5 {
                        sum += try awaiting {
                            async let child = sleepAndReturn(number)
                            await Task.yield()
                            let nested = try parking { try awaiting { await double(number) } }
                            let answer = await withCheckedContinuation { continuation in
                                Task.detached { continuation.resume(returning: number) }
                            }
                            return try await child + nested + answer
                        }
                    }
                    return sum
                }
            }
            for (number, thread) in threads.enumerated() {
                let sum = try thread.value()
                #expect(sum == 20 * number)
            }
        }
    }

    @Test func `a hub that closes ends its resting tasks and those that are under way`() throws {
        let ended = try onOSThread {
            let ended = RemoteResult<Bool>()
            for _ in 0..<10 { spawn(inheriting: false) { try awaiting { await Task.yield() } } }
            try Hub.current.run()
            spawn(inheriting: false) {
                defer { ended.set(true) }
                try awaiting { try await Task.sleep(for: .seconds(1_000)) }
            }
            try Greenlet.yield()
            Hub.current.close()
            return ended.isSet
        }
        #expect(ended)
    }

    @Test func `a hub that is closed inside awaiting stops the program, with the reason`() async {
        for isHigh in [false, true] {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                [isHigh = isHigh as Bool] in
                try onOSThread {
                    try awaiting(priority: isHigh ? .high : nil) {
                        await Task.yield()
                        parking { Hub.current.close() }
                    }
                }
            }
            let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(text.contains("Hub.close() inside awaiting"))
        }
    }

    @Test func `a hub that has awaited on its main green thread can be closed`() throws {
        try onOSThread {
            try #expect(
                awaiting {
                    await Task.yield()
                    return 7
                } == 7)
            #expect(throws: CancellationError.self) { try awaiting { throw CancellationError() } }
            Hub.current.close()
        }
    }

    @Test func `a body that cancels its own task, or has a larger stack, takes no other call with it`() throws {
        try onHub {
            let isCancelled = try spawn(inheriting: false) {
                try awaiting { withUnsafeCurrentTask { $0?.cancel() } }
                return try awaiting { Task.isCancelled }
            }.value()
            #expect(!isCancelled)
            let usual = Hub.defaultStackSize
            defer { Hub.defaultStackSize = usual }
            Hub.defaultStackSize = 4 * usual
            let left = try spawn(inheriting: false) { try awaiting { parking { Greenlet.stackLeft } } }.value()
            #expect(left > 2 * usual)
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

    @Test(arguments: [true, false])
    func `an access that is open while async code parks is its own`(inheriting: Bool) throws {
        try onHub {
            let account = Account()
            let threads = (0..<10).map { _ in
                spawn(inheriting: inheriting) { try awaiting { try parking { try account.add() } } }
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

    @Test(arguments: [true, false])
    func `kills and time limits at random moments leave nothing behind`(inheriting: Bool) throws {
        try onEverySeed(1000, .seconds(20)) { seed in
            var random = SeededRandom(seed: seed)
            let threads = (0..<20).map { number in
                let (pause, limit) = (Int.random(in: 0...20, using: &random), Int.random(in: 1...20, using: &random))
                return spawn(inheriting: inheriting) {
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
