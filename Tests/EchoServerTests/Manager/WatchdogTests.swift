import Glibc
import GreenNet
import TestSupport
import Testing

@testable import EchoServer

@Suite struct WatchdogTests {
    // MARK: Variables

    @Test(
        arguments: [
            (["WATCHDOG_USEC": "30000000"], .seconds(15)),
            (["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "4711"], .seconds(1)),
            (["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "4712"], nil),
            (["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "x"], nil), (["WATCHDOG_PID": "4711"], nil), ([:], nil),
            (["WATCHDOG_USEC": "0"], nil), (["WATCHDOG_USEC": "-5"], nil), (["WATCHDOG_USEC": "soon"], nil),
        ] as [([String: String], Duration?)])
    func `the interval is half of the time that is given to this process`(
        variables: [String: String], interval: Duration?
    ) {
        #expect(Watchdog.interval(ManagerVariables(variables), of: 4711) == interval)
    }

    // MARK: Hubs

    @Test func `alone, the hub that asks is answer enough`() {
        let watchdog = Watchdog([])
        #expect(watchdog.allTurn())
        #expect(watchdog.allTurn())
    }

    @Test func `another hub that is stuck is noticed, and so is the end of that`() throws {
        try onHub {
            let hub = try otherHub()
            let watchdog = Watchdog([hub])
            #expect(watchdog.allTurn())
            try #expect(turns { watchdog.allTurn() })
            let (isStuck, release) = (Handoff<Void>(), Handoff<Void>())
            hub.perform(.answerWatchdog) { _ in
                isStuck.give()
                _ = release.take()
            }
            _ = isStuck.take()
            // An answer that was given before may still count.
            _ = watchdog.allTurn()
            for _ in 0..<100 { #expect(!watchdog.allTurn()) }
            release.give()
            try #expect(turns { watchdog.allTurn() })
            try end(hub)
        }
    }

    @Test func `a hub that has ended is not waited for`() throws {
        try onHub {
            let hub = try otherHub()
            try hub.waitUntilUp()
            let watchdog = Watchdog([hub])
            try end(hub)
            for _ in 0..<10 { #expect(watchdog.allTurn()) }
        }
    }

    private func otherHub() throws -> WorkerHub {
        try WorkerHub(listeners: 1) {
            StreamServer(try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!)) { _ in }
        }
    }

    private func end(_ hub: WorkerHub) throws {
        hub.perform(.drain) { try? $0.drain(until: .never) }
        try hub.ended.wait()
    }

    private func turns(_ condition: () -> Bool) throws -> Bool {
        let deadline = Deadline.after(.seconds(5) * Sanitizer.slowness)
        while !condition() {
            if deadline.hasPassed { return false }
            try Greenlet.sleep(for: .milliseconds(1))
        }
        return true
    }
}
