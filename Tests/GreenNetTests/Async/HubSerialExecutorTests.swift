import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Actors that run on a hub.
struct HubSerialExecutorTests {
    @Test func `an actor's methods run on its hub's OS thread`() throws {
        try onHub {
            let actor = HubActor(Hub.current.serialExecutor)
            try asTask { for _ in 0..<100 { await actor.add() } }
            let (count, osThreads) = actor.assumeIsolated { ($0.count, $0.osThreads) }
            #expect(count == 100)
            #expect(osThreads == [osThread()])
        }
    }

    @Test func `any green thread of the hub may assume that it is isolated to the actor`() throws {
        try onHub {
            let actor = HubActor(Hub.current.serialExecutor)
            let greenlets = (0..<10).map { _ in spawn { actor.assumeIsolated { $0.add() } } }
            let counts = try greenlets.map { try $0.value() }
            #expect(counts == Array(1...10))
            #expect(Hub.current.serialExecutor.isIsolatingCurrentContext() == true)
        }
    }

    @Test func `another OS thread is not isolated to the actor`() throws {
        try onHub {
            let executor = Hub.current.serialExecutor
            try TestThread {
                #expect(executor.isIsolatingCurrentContext() == false)
                _ = Hub.current
                #expect(executor.isIsolatingCurrentContext() == false)
                Hub.current.close()
            }.value()
        }
    }

    @Test func `an actor of a hub and a default actor are called from two hubs twenty thousand times`() throws {
        let count = Sanitizer.scaled(10_000, address: 1000, thread: 500)
        try onHub {
            let (actor, plain) = (HubActor(Hub.current.serialExecutor), PlainActor())
            let call: @Sendable () throws -> Void = {
                try asTask {
                    await withTaskGroup(of: Void.self) { group in
                        for _ in 0..<10 {
                            group.addTask {
                                for _ in 0..<count / 10 {
                                    await actor.add()
                                    await plain.add()
                                }
                            }
                        }
                    }
                }
            }
            let other = TestThread {
                try call()
                Hub.current.close()
            }
            let greenlet = spawn { try call() }
            try greenlet.value()
            try asTask { while await actor.count < 2 * count { try await Task.sleep(for: .milliseconds(1)) } }
            try other.value()
            let here = osThread()
            try asTask {
                let (calls, others, osThreads) = await (actor.count, plain.count, actor.osThreads)
                #expect(calls == 2 * count)
                #expect(others == 2 * count)
                #expect(osThreads == [here])
            }
        }
    }

    @Test func `a method that waits lets other calls of the actor in, as an await does`() throws {
        try onHub {
            let actor = HubActor(Hub.current.serialExecutor)
            let isOpen = RemoteResult<Void>()
            let waiting = started { try await actor.wait(for: isOpen) }
            try asTask { await actor.add() }
            #expect(!waiting.isSet)
            isOpen.set(())
            let count = try waiting.value()
            #expect(count == 1)
        }
    }
}

extension HubActor {
    fileprivate func wait(for result: RemoteResult<Void>) throws -> Int {
        try parking { try result.value(until: .after(.seconds(10))) }
        return count
    }
}
