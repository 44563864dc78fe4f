import TestSupport
import Testing

@testable import GreenNet

struct DaemonTests {
    @Test func `run does not wait for daemons, and waits for the others`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let daemon = spawn(isDaemon: true, name: "cleaner") { try Greenlet.sleep(for: .seconds(1000)) }
            spawn { try Greenlet.sleep(for: .seconds(5)) }
            spawn(isDaemon: false) { try Greenlet.sleep(for: .seconds(6)) }
            try Hub.current.run()
            #expect(.now - start >= .seconds(6) && .now - start < .seconds(7))
            #expect(!daemon.hasEnded && daemon.name == "cleaner")
            #expect(Hub.current.statistics.greenThreads == 1)
            daemon.kill()
            try daemon.join()
            #expect(Hub.current.statistics.greenThreads == 0)
        }
    }

    @Test func `run by a daemon, and beside one that ends, waits for the others only`() throws {
        try onVirtualHub {
            var order: [String] = []
            spawn(isDaemon: true) {
                try Hub.current.run()
                order.append("run")
            }
            spawn(isDaemon: true) { try Greenlet.sleep(for: .seconds(1)) }
            spawn {
                try Greenlet.sleep(for: .seconds(2))
                order.append("work")
            }
            try Greenlet.sleep(for: .seconds(3))
            #expect(order == ["work", "run"])
        }
    }

    @Test func `a hub that closes kills its daemons and waits until they have unwound`() throws {
        try onOSThread {
            let unwound = Box(0)
            for _ in 0..<3 {
                spawn(isDaemon: true) {
                    defer { unwound.value += 1 }
                    defer { shielded { try? Greenlet.sleep(for: .milliseconds(2)) } }
                    // Spawned meanwhile, too.
                    defer { spawn(isDaemon: true) {} }
                    try Greenlet.sleep(for: .seconds(1000))
                }
            }
            try Greenlet.yield()
            Hub.current.close()
            #expect(unwound.value == 3)
        }
    }

    @Test func `daemons that come and go leave the count right`() throws {
        try onVirtualHub {
            for _ in 0..<100 { spawn(isDaemon: true) { try Greenlet.yield() } }
            let never = spawn(isDaemon: true) { Issue.record("it was killed before it began") }
            never.kill()
            try Greenlet.sleep(for: .seconds(1))
            spawn { try Greenlet.sleep(for: .seconds(1)) }
            let start = Deadline.now
            try Hub.current.run()
            #expect(.now - start >= .seconds(1))
        }
    }

    // MARK: Hub.greenThreads

    @Test func `greenThreads lists those that have not ended, the oldest first, without the main one`() throws {
        try onHub {
            let hub = Hub.current
            #expect(hub.greenThreads.isEmpty)
            let threads = ["a", "b", "c"].map { name in spawn(name: name) { try Greenlet.sleep(for: .seconds(100)) } }
            try Greenlet.yield()
            #expect(hub.greenThreads.map(\.name) == ["a", "b", "c"])
            #expect(zip(hub.greenThreads, threads).allSatisfy { $0 === $1 })
            threads[1].kill()
            try threads[1].join()
            #expect(hub.greenThreads.map(\.name) == ["a", "c"])
            #expect(hub.greenThreads.count == hub.statistics.greenThreads)
            try killAll(hub.greenThreads)
            #expect(hub.greenThreads.isEmpty)
        }
    }
}

private final class Box {
    var value: Int
    init(_ value: Int) { self.value = value }
}
