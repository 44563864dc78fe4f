import Glibc
import GreenNet

/// Waits until all connections are open, or no more can be.
struct Opening {
    private let admin: AdminPage
    private let client: ChildProcess
    private let count: Int
    private let reserve: Int
    private static let interval = Duration.milliseconds(200)
    /// Looks without one more connection, after which it is given up.
    private static let patience = 300

    init(_ admin: AdminPage, _ client: ChildProcess, _ count: Int, reserve: Int) {
        (self.admin, self.client, self.count, self.reserve) = (admin, client, count, reserve)
    }

    /// How many are open in the end.
    func watch() throws -> Int {
        defer { Progress.clear() }
        var (last, stalled) = (0, 0)
        while true {
            let now = try open()
            if now >= count { return now }
            try checkClient()
            Progress.show("\(now) open, \(SystemMemory.available) MiB available")
            if SystemMemory.available < reserve { return try stop(at: now) }
            stalled = now > last ? 0 : stalled + 1
            last = now
            guard stalled < Opening.patience else {
                throw BenchFailure("no more than \(now) connections can be opened")
            }
            try Greenlet.sleep(for: Opening.interval)
        }
    }

    private func open() throws -> Int {
        try admin.values(of: "echo_server_connections{state=\"open\"}").reduce(0, +)
    }

    private func checkClient() throws {
        if (try? client.wait(until: .now)) != nil { throw BenchFailure("the client has ended") }
    }

    private func stop(at now: Int) throws -> Int {
        print("Stopped after \(now) connections: less than \(reserve) MiB were left.\n")
        client.sendToGroup(SIGTERM)
        try Greenlet.sleep(for: .seconds(1))
        return try open()
    }
}
