import Synchronization
import TestSupport
import Testing

@testable import GreenNet

struct RemoteEventTests {
    @Test func `a set by another OS thread wakes the green threads of all hubs, and tasks`() throws {
        try onHub {
            let (event, waiting) = (RemoteEvent(), RemoteSemaphore(0))
            let others = (0..<3).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    try withGreenGroup { group in
                        for _ in 0..<10 {
                            group.spawn {
                                waiting.release()
                                try #expect(event.wait())
                            }
                        }
                    }
                }
            }
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    waiting.release()
                    try await event.wait()
                }
                for _ in 0..<31 { try waiting.acquire() }
                event.set()
                for other in others { try other.value() }
                try task.value()
            }
            #expect(event.isSet)
            try #expect(event.wait(until: .now))
        }
    }

    @Test func `set resumes all that wait, even where it is cleared at once; a clear makes others wait`() throws {
        try onHub {
            let event = RemoteEvent()
            let waiters = (0..<5).map { _ in spawn { try event.wait() } }
            try Greenlet.yield()
            event.set()
            event.clear()
            for waiter in waiters { try #expect(waiter.value()) }
            #expect(!event.isSet)
            try #expect(!event.wait(until: .now))
            try #expect(!event.wait(until: .after(.milliseconds(2))))
        }
    }

    @Test func `a kill, a limit and a cancellation end the wait, and leave nothing behind`() throws {
        try onHub {
            let event = RemoteEvent()
            let killed = spawn { try event.wait() }
            try Greenlet.yield()
            killed.kill()
            try killed.join()
            #expect(killed.state == .killed)
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { try event.wait() } }
            try TaskThreads.with { tasks in
                let began = RemoteEvent()
                let task = tasks.start {
                    began.set()
                    try await event.wait()
                }
                try began.wait()
                task.cancel()
                #expect(throws: CancellationError.self) { try task.value() }
            }
            event.set()
        }
    }

    @Test func `sets and waits of several OS threads at once lose no wake-up`() throws {
        try onHub {
            let rounds = Sanitizer.scaled(2000, address: 1000, thread: 300)
            let (there, back) = (RemoteEvent(), RemoteEvent())
            let other = TestThread {
                defer { Hub.current.close() }
                for _ in 0..<rounds {
                    try there.wait()
                    there.clear()
                    back.set()
                }
            }
            for _ in 0..<rounds {
                there.set()
                try #expect(back.wait(until: .after(.seconds(30))))
                back.clear()
            }
            try other.value()
        }
    }

    @Test func `many waits with deadlines and kills beside sets all end`() throws {
        try onHub {
            let event = RemoteEvent()
            let stop = Atomic(false)
            let setter = TestThread {
                while !stop.load(ordering: .relaxed) {
                    event.set()
                    event.clear()
                }
            }
            var random = SplitMix(seed: 1)
            for _ in 0..<Sanitizer.scaled(300, address: 100, thread: 50) {
                let waiters = (0..<5).map { number in
                    spawn { try event.wait(until: .after(.microseconds(number * 50))) }
                }
                try Greenlet.yield()
                for waiter in waiters where Bool.random(using: &random) { waiter.kill() }
                try joinAll(waiters)
                for waiter in waiters { _ = waiter.result }
            }
            stop.store(true, ordering: .relaxed)
            try setter.value()
        }
    }
}
