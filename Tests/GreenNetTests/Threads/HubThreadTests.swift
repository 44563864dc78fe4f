import Glibc
import ProgramKit
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Hubs on OS threads of their own, and hubs that stay.  `onHub` checks that no OS thread and no descriptor is left.
struct HubThreadTests {
    // MARK: serve

    @Test func `serve stays without green threads until stopServing`() throws {
        try onHub {
            let hub = Hub.current
            let stopper = spawn {
                for _ in 0..<10 { try Greenlet.yield() }
                hub.stopServing()
            }
            try hub.serve()
            #expect(stopper.hasEnded)
        }
    }

    @Test func `a stop that comes before ends the next serve, and only that`() throws {
        try onHub {
            Hub.current.stopServing()
            try Hub.current.serve()
            #expect(throws: WaitError.deadlinePassed) { try Hub.current.serve(until: .after(.milliseconds(5))) }
        }
    }

    @Test func `stopServing ends each serve that is under way`() throws {
        try onHub {
            let serving = (0..<3).map { _ in spawn { try Hub.current.serve() } }
            try Greenlet.yield()
            Hub.current.stopServing()
            try joinAll(serving)
            #expect(throws: WaitError.deadlinePassed) { try Hub.current.serve(until: .after(.milliseconds(5))) }
        }
    }

    @Test func `another OS thread ends serve`() throws {
        try onHub {
            let remote = Hub.current.remote
            let other = TestThread { remote.stopServing() }
            try Hub.current.serve()
            try #expect(other.value() == true)
        }
    }

    @Test func `a kill and a time limit end serve`() throws {
        try onHub {
            let serving = spawn { try Hub.current.serve() }
            try Greenlet.yield()
            serving.kill()
            try serving.join()
            #expect(serving.state == .killed)
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(5)) { try Hub.current.serve() } }
        }
    }

    @Test func `serve with a deadline in the past throws at once, and one in the far future waits`() throws {
        try onHub {
            #expect(throws: WaitError.deadlinePassed) { try Hub.current.serve(until: .now) }
            let hub = Hub.current
            spawn { hub.stopServing() }
            try hub.serve(until: .after(.seconds(1_000_000_000)))
        }
    }

    // MARK: HubThread

    @Test func `a hub thread runs what other OS threads spawn, on one OS thread with its name`() throws {
        try onHub {
            let thread = try HubThread(name: "a name of more than 15 bytes")
            let here = osThread()
            let results = (0..<100).map { _ in thread.remote.result { (osThread(), threadName()) } }
            let seen = try results.map { try $0.value() }
            #expect(Set(seen.map(\.0)).count == 1 && seen[0].0 != here)
            #expect(seen[0].1 == "a name of more ")
            let hasStopped = try thread.stop()
            #expect(hasStopped)
        }
    }

    @Test func `signals are blocked on a hub thread`() throws {
        try onHub {
            let thread = try HubThread()
            let isBlocked = try thread.remote.result {
                var mask = sigset_t()
                pthread_sigmask(SIG_BLOCK, nil, &mask)
                return sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGSEGV) == 0
            }.value()
            #expect(isBlocked)
            try thread.stop()
        }
    }

    @Test func `stop kills the green threads and waits until they have unwound`() throws {
        try onHub {
            let thread = try HubThread()
            let started = RemoteSemaphore(0)
            let ended = Mutex(0)
            for _ in 0..<100 {
                thread.remote.spawn {
                    started.release()
                    do throws(WaitError) { try Greenlet.sleep(for: .seconds(60)) } catch {
                        #expect(error == .cancelled)
                        ended.withLock { $0 += 1 }
                        throw error
                    }
                }
            }
            for _ in 0..<100 { try started.acquire() }
            try thread.stop()
            #expect(ended.withLock { $0 } == 100)
            let accepts = thread.remote.spawn {}
            #expect(!accepts)
        }
    }

    @Test func `join waits for a stop by another, and stop may be called again`() throws {
        try onHub {
            let thread = try HubThread()
            #expect(try !thread.join(until: .after(.milliseconds(5))))
            let joiner = spawn { try thread.join() }
            try Greenlet.yield()
            try thread.stop()
            try joiner.join()
            #expect(try thread.stop(until: .now))
        }
    }

    @Test func `stop returns false at its deadline, and the hub stops later`() throws {
        try onHub {
            let thread = try HubThread()
            let (isInside, gate) = (RemoteSemaphore(0), RemoteSemaphore(0))
            thread.remote.spawn {
                isInside.release()
                try shielded { try gate.acquire() }
            }
            try isInside.acquire()
            #expect(try !thread.stop(until: .after(.milliseconds(20))))
            gate.release()
            #expect(try thread.join())
        }
    }

    @Test func `a hub thread that is released without a stop ends`() throws {
        try onHub {
            let remote = try HubThread().remote
            while remote.wake() { try Greenlet.sleep(for: .milliseconds(1)) }
        }
    }

    @Test func `many hub threads start, work and stop`() throws {
        try onHub {
            let threads = try (0..<20).map { try HubThread(name: "hub \($0)") }
            let sums = threads.map { thread in
                thread.remote.result {
                    try (0..<100).map { number in spawn { number } }.map { try $0.value() }.reduce(0, +)
                }
            }
            for sum in sums { try #expect(sum.value() == 4950) }
            for thread in threads { thread.remote.stopServing() }
            for thread in threads { try thread.join() }
        }
    }

    @Test func `tasks run on the hub of a hub thread`() throws {
        try onHub {
            let thread = try HubThread()
            let executor = try thread.remote.result { Hub.current.executor }.value()
            let (result, there) = (RemoteResult<pthread_t>(), try thread.remote.result { osThread() }.value())
            Task(executorPreference: executor) {
                try await Task.sleep(for: .milliseconds(1))
                result.set(osThread())
            }
            try #expect(result.value() == there)
            try thread.stop()
        }
    }

    @Test func `async code starts and stops a hub thread`() async throws {
        let thread = try HubThread()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await thread.join() }
            group.addTask { await thread.stop() }
        }
        await thread.stop()
        let accepts = thread.remote.spawn {}
        #expect(!accepts)
    }
}

private func threadName() -> String? {
    SmallFile.text(of: "/proc/thread-self/comm").map { String($0.prefix { $0 != "\n" }) }
}
