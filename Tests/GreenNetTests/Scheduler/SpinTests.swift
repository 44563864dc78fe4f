import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SpinTests {
    // MARK: The decision

    private func wait(_ spin: inout Spin, _ duration: Duration, jobsCame: Bool = true) {
        spin.jobsCame = jobsCame
        spin.slept(for: duration)
    }

    @Test func `a hub spins after a short wait that jobs have ended, and after no other`() {
        var spin = Spin()
        #expect(!spin.isDue)
        wait(&spin, Spin.promise - .nanoseconds(1))
        #expect(spin.isDue)
        wait(&spin, Spin.promise)
        #expect(!spin.isDue)
        wait(&spin, .zero, jobsCame: false)
        #expect(!spin.isDue)
    }

    @Test func `after spins in vain it sleeps at once, each time twice as often, up to a limit`() {
        var spin = Spin()
        var pauses: [Int] = []
        for _ in 0..<11 {
            wait(&spin, .zero)
            var pause = 0
            while !spin.isDue {
                wait(&spin, .zero)
                pause += 1
            }
            pauses.append(pause)
            _ = spin.ended(found: false)
        }
        #expect(pauses == [0, 0, 1, 3, 7, 15, 31, 63, 127, 255, 255])
        // One that is not in vain ends that.
        while !spin.isDue { wait(&spin, .zero) }
        let hits = [spin.ended(found: true), spin.ended(found: false)]
        #expect(hits == [true, false])
        wait(&spin, .zero)
        #expect(spin.isDue)
    }

    @Test func `the loop has its turn after some jobs that were found`() {
        var spin = Spin()
        let direct = (0..<2 * Spin.mostFound).map { _ in spin.ended(found: true) }
        #expect(direct.indices.filter { !direct[$0] } == [Spin.mostFound - 1, 2 * Spin.mostFound - 1])
    }

    // MARK: On a hub

    @Test func `a hub that hears nothing or little of other OS threads uses no processor time`() throws {
        try onHub {
            let (channel, stop) = (RemoteChannel<Int>(), RemoteEvent())
            let before = ownProcessorTime()
            #expect(throws: WaitError.deadlinePassed) { try channel.take(until: .after(.milliseconds(300))) }
            #expect(ownProcessorTime() - before < .milliseconds(30) * Sanitizer.slowness)
            let other = TestThread {
                for number in 0..<100 {
                    usleep(2000)
                    _ = try? channel.tryPut(number)
                }
                stop.set()
            }
            let middle = ownProcessorTime()
            for number in 0..<100 { try #expect(channel.take() == number) }
            try stop.wait()
            #expect(ownProcessorTime() - middle < .milliseconds(60) * Sanitizer.slowness)
            try other.value()
        }
    }

    @Test func `an OS thread that waits for its next call, or has calls now and then, uses no processor time`() throws {
        try onHub {
            // Of its one OS thread.
            let pool = OffloadPool(limit: 1)
            for _ in 0..<200 { try pool.run {} }
            let before = try pool.run { ownProcessorTime() }
            try Greenlet.sleep(for: .milliseconds(300))
            let middle = try pool.run { ownProcessorTime() }
            #expect(middle - before < .milliseconds(30) * Sanitizer.slowness)
            for _ in 0..<100 {
                try Greenlet.sleep(for: .milliseconds(2))
                try pool.run {}
            }
            let after = try pool.run { ownProcessorTime() }
            #expect(after - middle < .milliseconds(60) * Sanitizer.slowness)
        }
    }

    @Test func `while two hubs hand work to and fro, sleepers and descriptors of theirs have their turn`() throws {
        try onHub {
            let (there, back) = (RemoteChannel<Int>(limit: 4), RemoteChannel<Int>(limit: 4))
            let other = try HubThread(name: "other")
            other.remote.spawn { while let item = try there.next() { try back.put(item) } }
            let (one, two) = try Connection.pair()
            var (naps, bytes) = (0, 0)
            let sleeper = spawn {
                while true {
                    try Greenlet.sleep(for: .milliseconds(1))
                    naps += 1
                }
            }
            let echo = spawn { while let byte = try two.receive() { try two.sendAll(byte) } }
            let sender = spawn {
                while true {
                    try one.sendAll([1])
                    _ = try one.receive(exactly: 1)
                    bytes += 1
                }
            }
            let end = Deadline.after(.milliseconds(200))
            var number = 0
            while !end.hasPassed {
                number += 1
                try there.put(number)
                try #expect(back.take() == number)
            }
            #expect(naps > 10 && bytes > 10 && number > 100, "\(naps) \(bytes) \(number)")
            for greenlet in [sleeper, sender] { greenlet.kill() }
            echo.kill()
            there.close()
            try other.stop()
        }
    }
}
