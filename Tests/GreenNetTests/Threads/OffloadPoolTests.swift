import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

// The pool's OS threads must be gone after each test; `onHub` ends idle OS threads and checks.
struct OffloadPoolTests {
    @Test func `a call that blocks runs on another OS thread, and the hub goes on meanwhile`() throws {
        try onHub {
            let gate = Gate()
            let own = pthread_self()
            let call = spawn {
                try Hub.current.offload {
                    gate.pass()
                    return pthread_self() != own
                }
            }
            try eventuallyOnHub { gate.waiting == 1 }
            #expect(call.state == .waiting)
            gate.open()
            try #expect(call.value())
        }
    }

    @Test func `an error is thrown to the caller`() throws {
        try onHub {
            #expect(throws: Failure(3)) { try Hub.current.offload { throw Failure(3) } }
        }
    }

    @Test func `no more calls than the limit run at a time, and the others run in order`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let order = Mutex<[Int]>([])
            let calls = (0..<4).map { number in
                spawn {
                    try pool.run {
                        gate.pass()
                        order.withLock { $0.append(number) }
                    }
                }
            }
            try eventuallyOnHub { gate.waiting == 1 && calls.allSatisfy { $0.state == .waiting } }
            gate.open()
            for call in calls { try call.value() }
            #expect(gate.most == 1)
            #expect(order.withLock { $0 } == [0, 1, 2, 3])
        }
    }

    @Test func `a call inside a call of the same pool has its deadline, and its time limit`() throws {
        try onHub {
            let (pool, gate) = (OffloadPool(limit: 1, givenUpLimit: 2), Gate())
            try pool.run {
                #expect(throws: WaitError.deadlinePassed) {
                    try pool.run(until: .after(.milliseconds(20))) { gate.pass() }
                }
                #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(20)) { try pool.run { gate.pass() } }
                }
                try #expect(pool.run(until: .after(.seconds(10))) { 5 } == 5)
            }
            gate.open()
            try eventuallyOnHub { pool.statistics.running == 0 }
        }
    }

    @Test func `a green thread of a call makes a further one on another OS thread, and its hub goes on`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try pool.run {
                let (own, gate) = (pthread_self(), Gate())
                let inner = spawn {
                    try pool.run {
                        gate.pass()
                        return pthread_self() != own
                    }
                }
                try eventuallyOnHub { gate.waiting == 1 }
                gate.open()
                try #expect(inner.value())
                // On the OS thread's own stack it needs no other.
                try #expect(pool.run { pthread_self() } == own)
            }
        }
    }

    @TaskLocal private static var request = 0
    @TaskLocal private static var path: [String] = []
    private static var seen: String { "\(request) \(path)" }

    @Test func `a call sees the task-locals of its caller, and leaves none behind`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try OffloadPoolTests.$request.withValue(1) {
                try OffloadPoolTests.$request.withValue(7) {
                    try OffloadPoolTests.$path.withValue(["a", "b"]) {
                        try #expect(pool.run { OffloadPoolTests.seen } == "7 [\"a\", \"b\"]")
                        try #expect(pool.submit { OffloadPoolTests.seen }.value() == "7 [\"a\", \"b\"]")
                        try #expect(pool.map([1]) { _ in OffloadPoolTests.seen } == ["7 [\"a\", \"b\"]"])
                        // With a hub that the call makes.
                        let inner = try pool.run {
                            try OffloadPoolTests.$request.withValue(8) { try spawn { OffloadPoolTests.seen }.value() }
                        }
                        #expect(inner == "8 [\"a\", \"b\"]")
                    }
                }
            }
            try #expect(pool.run { OffloadPoolTests.seen } == "0 []")
        }
    }

    @Test func `a caller that is late or killed goes on, and its call never begins if it has not`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let hasBegun = Atomic(false)
            // The call goes on, since nothing can interrupt it, and the other calls wait for its OS thread.
            let first = spawn { try pool.run { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 1 }
            first.kill()
            #expect(throws: GreenletExit()) { try first.value() }
            #expect(throws: WaitError.deadlinePassed) {
                try pool.run(until: .after(.milliseconds(2))) { hasBegun.store(true, ordering: .relaxed) }
            }
            let killed = spawn { try pool.run { hasBegun.store(true, ordering: .relaxed) } }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(2)) { try pool.run { hasBegun.store(true, ordering: .relaxed) } }
            }
            gate.open()
            try #expect(pool.run { 5 } == 5)
            let begun = hasBegun.load(ordering: .relaxed)
            #expect(!begun)
        }
    }

    @Test func `a call made by a call of the same pool runs at once`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try #expect(pool.run { try pool.run { 1 } + 1 } == 2)
        }
    }

    @Test func `no object that a call has used or returned is held afterwards`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            weak var argument: Token?
            weak var result: Token?
            do {
                let given = Token()
                argument = given
                let taken = try pool.run {
                    _ = given
                    return Token()
                }
                result = taken
            }
            try eventuallyOnHub { argument == nil && result == nil }
            #expect(argument == nil && result == nil)
        }
    }

    @Test func `several hubs use one pool`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let hubs = (0..<3).map { hub in
                TestThread {
                    defer { Hub.current.close() }
                    let calls = (0..<20).map { number in spawn { try pool.run { hub * 100 + number } } }
                    return try calls.map { try $0.value() }
                }
            }
            for (hub, thread) in hubs.enumerated() { try #expect(thread.value() == (0..<20).map { hub * 100 + $0 }) }
        }
    }

    // MARK: Idle OS threads

    @Test func `calls one after the other run on one OS thread, which ends when it was idle for a while`() throws {
        try onHub {
            let started = Atomic(0)
            let threads = ThreadCache(idleTime: .milliseconds(300)) { (body) throws(SystemError) in
                started.add(1, ordering: .relaxed)
                return try ThreadCache.start(body)
            }
            let pool = OffloadPool(limit: 4, threads: threads)
            let numbers = try (0..<200).map { number in try pool.run { number } }
            #expect(numbers == Array(0..<200))
            // An OS thread that has just answered may not be idle yet when the next call comes.
            #expect(started.load(ordering: .relaxed) <= pool.limit)
            #expect(eventually { threads.count == 0 })
            try #expect(pool.run { 7 } == 7)
            threads.endIdle()
        }
    }

    @Test func `two pools share the OS threads that are idle, which can be ended at once`() throws {
        try onHub {
            let threads = ThreadCache()
            let (one, other) = (OffloadPool(limit: 1, threads: threads), OffloadPool(limit: 1, threads: threads))
            let thread = try one.run { pthread_self() }
            // The OS thread may not be idle yet when its answer is there.
            try eventuallyOnHub { try other.run { pthread_self() } == thread }
            #expect(threads.count <= 2)
            try eventuallyOnHub {
                threads.endIdle()
                return threads.count == 0
            }
            #expect(threads.count == 0)
        }
    }

    @Test func `many calls start no more OS threads than the limit, and all end`() throws {
        try onHub {
            let threads = ThreadCache(idleTime: .milliseconds(1))
            let pool = OffloadPool(limit: 3, threads: threads)
            for _ in 0..<20 {
                let most = Atomic(0)
                let calls = (0..<30).map { number in
                    spawn {
                        try pool.run {
                            most.max(threads.count, ordering: .relaxed)
                            return number
                        }
                    }
                }
                for (number, call) in calls.enumerated() { try #expect(call.value() == number) }
                // OS threads of the last round may be about to end.
                #expect(most.load(ordering: .relaxed) <= 6)
            }
            #expect(eventually { threads.count == 0 })
        }
    }

    @Test func `green threads that a call has spawned end with it, even if its OS thread is kept`() throws {
        try onHub {
            let threads = ThreadCache()
            let pool = OffloadPool(limit: 1, threads: threads)
            let unwound = Atomic(0)
            try pool.run {
                spawn {
                    defer { unwound.add(1, ordering: .relaxed) }
                    try Greenlet.sleep(until: .never)
                }
                try Greenlet.yield()
            }
            #expect(eventually { unwound.load(ordering: .relaxed) == 1 })
            #expect(threads.count == 1)
            #expect(
                eventually {
                    threads.endIdle()
                    return threads.count == 0
                })
        }
    }

    // MARK: Calls that were given up

    @Test func `calls that were given up leave their places to others, up to givenUpLimit`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1, givenUpLimit: 2)
            let gate = Gate()
            for _ in 0..<3 {
                #expect(throws: WaitError.deadlinePassed) {
                    try pool.run(until: .after(.milliseconds(20))) { gate.pass() }
                }
            }
            try eventuallyOnHub { gate.waiting == 3 }
            #expect(gate.waiting == 3)
            // All three calls hang: two don't count, the third does.
            let next = spawn { try pool.run { 4 } }
            try Greenlet.sleep(for: .milliseconds(20))
            #expect(next.state == .waiting)
            gate.open()
            try #expect(next.value() == 4)
        }
    }

    @Test func `a waiting call begins when the call before it is given up`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1, givenUpLimit: 1)
            let gate = Gate()
            let first = spawn { try pool.run { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 1 }
            let second = spawn { try pool.run { 2 } }
            try Greenlet.yield()
            #expect(second.state == .waiting)
            first.kill()
            try #expect(second.value(until: .after(.seconds(10))) == 2)
            gate.open()
        }
    }

    @Test func `when calls that were given up return, no more than the limit run again`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2, givenUpLimit: 10)
            let (old, new) = (Gate(), Gate())
            let hanging = (0..<12).map { _ in spawn { try pool.run { old.pass() } } }
            for count in 1...6 {
                try eventuallyOnHub { old.waiting == count * 2 }
                for call in hanging[(count * 2 - 2)..<(count * 2)] { call.kill() }
            }
            #expect(old.waiting == 12)
            let calls = (0..<8).map { _ in spawn { try pool.run { new.pass() } } }
            old.open()
            try eventuallyOnHub { old.waiting == 0 && new.waiting == 2 }
            new.open()
            for call in calls { try call.value() }
            #expect(new.most <= 2)
        }
    }

    @Test func `thousands of calls that were given up before they began are forgotten`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let first = spawn { try pool.run { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 1 }
            let begun = Atomic(0)
            let last = spawn { try pool.run { 5 } }
            try Greenlet.yield()
            for _ in 0..<5 {
                let crowd = (0..<1000).map { _ in spawn { try pool.run { begun.add(1, ordering: .relaxed) } } }
                try Greenlet.yield()
                for call in crowd { call.kill() }
                try joinAll(crowd)
                #expect(pool.queued == 1)
                #expect(pool.queueLength < 10)
            }
            gate.open()
            try first.value()
            try #expect(last.value() == 5)
            #expect(begun.load(ordering: .relaxed) == 0)
        }
    }

    // MARK: Without further OS threads

    @Test func `if two hubs can't start an OS thread at the same time, each throws`() throws {
        let asking = Gate()
        let threads = ThreadCache(startThread: { (_) throws(SystemError) in
            asking.pass()
            throw SystemError(EAGAIN)
        })
        let pool = OffloadPool(limit: 2, threads: threads)
        let hubs = (0..<2).map { _ in
            TestThread {
                defer { Hub.current.close() }
                return #expect(throws: SystemError(EAGAIN)) { try pool.run(until: .after(.seconds(10))) { 1 } }
            }
        }
        #expect(eventually { asking.waiting == 2 })
        asking.open()
        for hub in hubs { try #expect(hub.value() != nil) }
    }

    @Test func `if no further OS thread can be started, the calls wait for the existing ones`() throws {
        try onHub {
            let room = Atomic(1)
            let threads = ThreadCache(startThread: { (body) throws(SystemError) in
                guard room.subtract(1, ordering: .relaxed).newValue >= 0 else { throw SystemError(EAGAIN) }
                return try ThreadCache.start(body)
            })
            let pool = OffloadPool(limit: 4, threads: threads)
            let gate = Gate()
            let calls = (0..<5).map { number in
                spawn {
                    try pool.run {
                        gate.pass()
                        return number
                    }
                }
            }
            try eventuallyOnHub { gate.waiting == 1 && calls.allSatisfy { $0.state == .waiting } }
            gate.open()
            for (number, call) in calls.enumerated() { try #expect(call.value() == number) }
            #expect(gate.most == 1)
            #expect(
                eventually {
                    threads.endIdle()
                    return threads.count == 0
                })
        }
    }

    // MARK: Fork

    @Test func `a fork ends the OS threads that are idle`() async {
        await #expect(processExitsWith: .success) {
            try TestThread {
                for _ in 0..<3 { try Hub.current.offload {} }
                let pid = try Fork.child(.init()) { ThreadCache.shared.count == 0 ? 0 : 1 }
                var status: Int32 = -1
                precondition(waitpid(pid, &status, 0) == pid && status == 0)
                // The pool goes on as before.
                let answer = try Hub.current.offload { 3 }
                precondition(answer == 3)
            }.value()
        }
    }

    @Test func `a fork while a call runs stops the program`() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let gate = Gate()
                spawn { try Hub.current.offload { gate.pass() } }
                while gate.waiting == 0 { try Greenlet.sleep(for: .milliseconds(1)) }
                _ = try Fork.child(.init()) { 0 }
            }.value()
        }
        if let result { expectProgrammingError("fork while 1 OS threads run calls of an OffloadPool", in: result) }
    }
}

private final class Token: Sendable {}
