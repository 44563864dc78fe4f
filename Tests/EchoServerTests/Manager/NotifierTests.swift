import Glibc
import GreenNet
import TestSupport
import Testing

@testable import EchoServer

@Suite struct NotifierTests {
    /// The status that the notifier reports.
    private final class Status {
        var text = "fine"
    }

    /// Runs `body` on a hub with a notifier, and with a manager that receives its notifications.
    private func withNotifier(
        _ variables: [String: String] = [:],
        _ body: @escaping @Sendable (Notifier, Status, ManagerSocket) throws -> Void
    ) throws {
        try onHub {
            let (manager, status) = (try ManagerSocket(), Status())
            let all = variables.merging(["NOTIFY_SOCKET": manager.name]) { $1 }
            let notifier = try #require(Notifier(ManagerVariables(all), pid: 4711) { status.text })
            try body(notifier, status, manager)
            // The notifier's green threads would go on for ever.
            Hub.current.close()
        }
    }

    // MARK: Where to

    @Test(arguments: [nil, "", "vsock:2:1234", "relative"])
    func `without a notification socket, there is no notifier`(name: String?) {
        var variables: [String: String] = ["WATCHDOG_USEC": "1000"]
        variables["NOTIFY_SOCKET"] = name
        #expect(Notifier(ManagerVariables(variables)) { "" } == nil)
    }

    @Test func `a missing manager is no error`() throws {
        try onHub {
            let variables = ManagerVariables(["NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "2000"])
            let notifier = try #require(Notifier(variables) { "fine" })
            notifier.ready()
            notifier.reloading {}
            notifier.stopping(within: .zero)
            try Greenlet.sleep(for: .milliseconds(10))
            Hub.current.close()
        }
    }

    // MARK: States

    @Test func `ready is sent with the status`() throws {
        try withNotifier { notifier, _, manager in
            notifier.ready()
            #expect(manager.next() == "READY=1\nSTATUS=fine\n")
            #expect(manager.next() == nil)
        }
    }

    @Test func `a changed status is sent, once a second at most`() throws {
        try withNotifier { notifier, status, manager in
            notifier.ready()
            _ = manager.next()
            let start = Deadline.now
            status.text = "better"
            try #expect(manager.wait() == "STATUS=better\n")
            #expect(.now - start >= .milliseconds(990))
            #expect(.now - start < .seconds(1) + slack)
            status.text = "worse"
            try #expect(manager.wait() == "STATUS=worse\n")
            #expect(.now - start >= .milliseconds(1990))
            status.text = "better"
            status.text = "worse"
            try Greenlet.sleep(for: .milliseconds(1100))
            #expect(manager.next() == nil)
        }
    }

    @Test func `a status that the manager did not take is sent again`() throws {
        try withNotifier { notifier, status, manager in
            let sender = try #require(ManagerChannel(to: manager.name))
            notifier.ready()
            while sender.send([.status("noise")]) == .taken {}
            status.text = "better"
            try Greenlet.sleep(for: .milliseconds(1100))
            var heard: [String] = []
            while let datagram = manager.next() { heard.append(datagram) }
            #expect(!heard.contains("STATUS=better\n"))
            try #expect(manager.wait() == "STATUS=better\n")
        }
    }

    @Test func `changes of state wait for a slow manager, in their order, and block no other green thread`() throws {
        try withNotifier { notifier, _, manager in
            let sender = try #require(ManagerChannel(to: manager.name))
            while sender.send([.watchdog]) == .taken {}
            var turns = 0
            let other = spawn {
                while true {
                    turns += 1
                    try Greenlet.yield()
                }
            }
            defer { other.kill() }
            notifier.ready()
            notifier.reloading {}
            notifier.stopping(within: .zero)
            #expect(turns == 0, "it has waited")
            var heard: [String] = []
            while !heard.contains("STOPPING=1") {
                heard += try manager.wait().split(separator: "\n").map(String.init)
            }
            #expect(
                heard.filter { ["READY=1", "RELOADING=1", "STOPPING=1"].contains($0) } == [
                    "READY=1", "RELOADING=1", "READY=1", "STOPPING=1",
                ])
        }
    }

    @Test func `a manager that has gone is not waited for`() throws {
        try onHub {
            let variables = ManagerVariables(["NOTIFY_SOCKET": "@nobody-\(Deadline.now.nanoseconds)"])
            let notifier = try #require(Notifier(variables) { "fine" })
            notifier.reloading {}
            #expect(!Hub.current.description.contains("notify the service manager"))
        }
    }

    @Test func `a reload is notified before and after`() throws {
        try withNotifier { notifier, _, manager in
            notifier.ready()
            _ = manager.next()
            let before = Deadline.now.nanoseconds / 1000
            notifier.reloading {
                let lines = manager.next()?.split(separator: "\n")
                #expect(lines?.count == 2)
                #expect(lines?.first == "RELOADING=1")
                let time = lines?.last?.split(separator: "=")
                #expect(time?.first == "MONOTONIC_USEC")
                #expect(time?.last.flatMap { Int64($0) }.map { (before...before + 1_000_000).contains($0) } == true)
                #expect(manager.next() == nil)
            }
            #expect(manager.next() == "READY=1\n")
        }
    }

    @Test func `at the end the notifier asks for as much time as the end may take`() throws {
        try withNotifier { notifier, _, manager in
            notifier.ready()
            _ = manager.next()
            notifier.stopping(within: .seconds(10))
            #expect(manager.next() == "STOPPING=1\n")
            try #expect(manager.wait() == "EXTEND_TIMEOUT_USEC=15000000\n")
            // It is not ready any more; the status follows later, since the last status was sent a moment ago.
            try #expect(manager.wait() == "STATUS=stopping, fine\n")
        }
    }

    // MARK: Watchdog

    @Test func `the watchdog is fed twice in its time`() throws {
        try withNotifier(["WATCHDOG_USEC": "100000", "WATCHDOG_PID": "4711"]) { notifier, _, manager in
            notifier.ready()
            let start = Deadline.now
            _ = manager.next()
            for _ in 0...4 { try #expect(manager.wait() == "WATCHDOG=1\n") }
            // The first notification comes at once, four more at intervals.
            #expect(.now - start >= .milliseconds(195))
            #expect(.now - start < .milliseconds(200) + slack)
        }
    }

    @Test func `a hub that is stuck does not feed it`() throws {
        try withNotifier(["WATCHDOG_USEC": "20000"]) { notifier, _, manager in
            notifier.ready()
            _ = manager.next()
            try #expect(manager.wait() == "WATCHDOG=1\n")
            while manager.next() != nil {}
            burn(.milliseconds(50))
            #expect(manager.next() == nil)
            try #expect(manager.wait() == "WATCHDOG=1\n")
        }
    }

    @Test func `a watchdog of another process is not fed`() throws {
        for variables in [[:], ["WATCHDOG_USEC": "1000", "WATCHDOG_PID": "4712"]] as [[String: String]] {
            try withNotifier(variables) { notifier, _, manager in
                notifier.ready()
                _ = manager.next()
                try Greenlet.sleep(for: .milliseconds(20))
                #expect(manager.next() == nil)
            }
        }
    }
}
