import Glibc
import GreenNet

/// What code of Swift's concurrency does with green threads.  The compiler lets all of this through: each call is in a function that is not async.
let ofTasks = [
    Mistake("spawn-in-task", needsHub) { inTask { spawn {} } },
    Mistake("sleep-in-task", needsHub) { inTask { try? Greenlet.sleep(for: .milliseconds(1)) } },
    Mistake("connect-in-task", needsHub) {
        let address = try loopback().address
        inTask { _ = try? Connection.connect(to: address) }
    },
    Mistake("task-sends", usedInTask) {
        let connection = try connectedPair().0
        Task.detached { greet(connection) }
        waitForTheEnd()
    },
    Mistake("actor-owns-connection", usedInTask) {
        let session = Session(try connectedPair().0)
        Task.detached { await session.greet() }
        waitForTheEnd()
    },
    Mistake("connection-over-await", usedInTask) {
        let connection = try connectedPair().0
        Task.detached {
            await Task.yield()
            greet(connection)
        }
        waitForTheEnd()
    },
]

private let needsHub =
    "which has none: make a hub on an OS thread of its own (HubThread)"

private let usedInTask =
    "which has no hub and runs a Swift task: it is for its own OS thread only"

private actor Session {
    private let connection: Connection

    init(_ connection: sending Connection) { self.connection = connection }

    func greet() { try? connection.sendAll([1]) }
}

private func greet(_ connection: Connection) { try? connection.sendAll([1]) }

private func inTask(_ body: @escaping @Sendable () -> Void) {
    Task.detached { body() }
    waitForTheEnd()
}

/// Which the task brings about.
private func waitForTheEnd() { sleep(10) }
