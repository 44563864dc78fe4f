import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Remote objects among those that `waitAny` and the like wait for.
struct RemoteReadinessTests {
    @Test func `waitAny returns the remote object that another OS thread has made ready`() throws {
        try onHub {
            let (event, channel, semaphore) = (RemoteEvent(), RemoteChannel<Int>(), RemoteSemaphore(0))
            let (result, local) = (RemoteResult<Int>(), GreenEvent())
            let all: [any Waitable] = [local, event, channel, semaphore, result]
            let actions: [@Sendable () throws -> Void] = [
                { event.set() }, { _ = try channel.tryPut(1) }, { semaphore.release() }, { result.set(1) },
            ]
            for (index, action) in actions.enumerated() {
                let waiting = RemoteEvent()
                let other = TestThread {
                    while !waiting.isSet {}
                    try action()
                }
                let waiter = spawn { try waitAny(all) }
                try waiter.waitUntilParked()
                waiting.set()
                try #expect(waiter.value() === all[index + 1])
                try other.value()
                event.clear()
                _ = (channel.tryTake(), semaphore.tryAcquire())
            }
            // Ready already: found without a wait.
            try #expect(waitAny(all, until: .now) === result)
        }
    }

    @Test func `a channel is ready while a put waits, and once it is closed`() throws {
        try onHub {
            let channel = RemoteChannel<Int>(limit: 0)
            let putter = spawn {
                try Greenlet.yield()
                try channel.put(7)
            }
            try #expect(waitAny([channel]) === channel)
            try #expect(channel.take() == 7)
            try putter.value()
            try #expect(waitAny([channel], until: .after(.milliseconds(1))) == nil)
            spawn { channel.close() }
            try #expect(waitAny([channel]) === channel)
        }
    }

    @Test func `joinAll with throwing throws the error of a remote result`() throws {
        try onHub {
            let (one, two) = (RemoteResult<Int>(), RemoteResult<Int>())
            let other = TestThread {
                one.set(1)
                two.fail(Failed())
            }
            try other.value()
            try #expect(joinAll([one, two]).count == 2)
            #expect(throws: Failed.self) { try joinAll([one, two], throwing: true) }
        }
    }

    @Test func `a wait that a kill, a limit or a deadline ends leaves nothing at the objects`() throws {
        try onHub {
            let (event, channel) = (RemoteEvent(), RemoteChannel<Int>())
            let all: [any Waitable] = [event, channel]
            try #expect(waitAny(all, until: .after(.milliseconds(2))) == nil)
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { _ = try waitAny(all) } }
            let killed = spawn { _ = try waitAny(all) }
            try killed.waitUntilParked()
            killed.kill()
            try killed.join()
            #expect(event.watcherCount == 0 && channel.watcherCount == 0)
        }
    }

    @Test func `items that several hubs take by waitAny are each taken once, and none is left`() throws {
        try onHub {
            let count = Sanitizer.scaled(3000, address: 1000, thread: 300)
            let (channel, stop) = (RemoteChannel<Int>(limit: 3), RemoteEvent())
            let taken = Mutex<[Int]>([])
            let takers = (0..<3).map { _ in
                TestThread {
                    defer { Hub.current.close() }
                    while true {
                        let ready = try waitAny([channel, stop] as [any Waitable])
                        while let item = channel.tryTake() { taken.withLock { $0.append(item) } }
                        if ready === stop { return }
                    }
                }
            }
            for item in 0..<count { try channel.put(item) }
            try waitUntil(within: .seconds(30)) { channel.count == 0 }
            stop.set()
            for taker in takers { try taker.value() }
            #expect(taken.withLock { $0.sorted() } == Array(0..<count))
        }
    }

    @Test func `a hub that waits for remote objects only is not blocked forever`() throws {
        try onHub {
            let event = RemoteEvent()
            let other = TestThread {
                burn(.milliseconds(20))
                event.set()
            }
            try #expect(waitAny([event]) === event)
            try other.value()
        }
    }

    @Test func `one object may be in the lists of several green threads of one hub`() throws {
        try onHub {
            let event = RemoteEvent()
            let waiters = (0..<10).map { _ in spawn { try waitAny([event, RemoteEvent()]) === event } }
            for waiter in waiters { try waiter.waitUntilParked() }
            let other = TestThread { event.set() }
            for waiter in waiters { try #expect(waiter.value()) }
            try other.value()
            #expect(event.watcherCount == 0)
        }
    }
}

private struct Failed: Error {}
