import GreenNet

/// A further hub of a process, on an OS thread of its own, with a server that it runs until that is drained.
///
/// Belongs to the hub that made it: all of this is called on that hub's OS thread.
final class WorkerHub {
    /// Set when its server has been drained and all its green threads have ended.
    let ended = GreenEvent()
    /// Set when its server accepts, or could not be made.
    private let hasBegun = GreenEvent()
    private var failure: StartFailure?
    /// Nil until its server accepts.
    private var running: Running?
    /// What was asked for before.
    private var pending: [(task: Housekeeping, body: @Sendable (Running) -> Void)] = []

    private struct Running: @unchecked Sendable {
        // Unchecked: the server is touched on its own hub only.
        let hub: RemoteHub
        let server: StreamServer
        /// Goes on for as long as the server does.
        let measuring: Greenlet<Void>?
    }

    private struct Owner: @unchecked Sendable {
        // Unchecked: the worker hub is touched on its maker's hub only.
        let hub: RemoteHub
        let workerHub: WorkerHub

        func call(_ body: @escaping @Sendable (WorkerHub) -> Void) { _ = hub.callInHub { body(workerHub) } }
    }

    /// Starts the OS thread, which calls `makeServer` and `measure`; the server accepts on this many listeners.  Throws where the system refuses
    /// an OS thread.
    init(
        listeners: Int, measure: @escaping @Sendable () -> Greenlet<Void>? = { nil },
        _ makeServer: @escaping @Sendable () throws -> StreamServer
    ) throws(SystemError) {
        let owner = Owner(hub: Hub.current.remote, workerHub: self)
        try OSThread.start(named: "hub", stackSize: OSThread.smallStack, blocksSignals: true) {
            WorkerHub.run(owner) { try WorkerHub.start(listeners, makeServer, measure) }
        }
    }

    // MARK: On its OS thread

    private static func run(_ owner: Owner, _ start: () throws -> Running) {
        do {
            let running = try start()
            owner.call { $0.begin(running) }
        } catch {
            let failure = StartFailure(.system, "\(error)")
            return owner.call { $0.fail(failure) }
        }
        do { try Hub.current.run() } catch { fatalError("a worker's hub has failed: \(error)") }
        // Before its owner hears of the end, and drops the server on another OS thread.
        Hub.current.close()
        owner.call { $0.ended.set() }
    }

    private static func start(
        _ listeners: Int, _ makeServer: () throws -> StreamServer, _ measure: () -> Greenlet<Void>?
    ) throws -> Running {
        try Hub.prepare(stacks: Housekeeping.stacks(listeners: listeners))
        let server = try makeServer()
        server.start()
        return Running(hub: Hub.current.remote, server: server, measuring: measure())
    }

    // MARK: On its owner's

    private func begin(_ running: Running) {
        self.running = running
        hasBegun.set()
        for (task, body) in pending { perform(task, body) }
        pending = []
    }

    private func fail(_ failure: StartFailure) {
        self.failure = failure
        hasBegun.set()
        ended.set()
    }

    /// Returns when its server accepts, and throws where that could not be made.
    func waitUntilUp() throws {
        try hasBegun.wait()
        if let failure { throw failure }
    }

    /// Runs `body` on a green thread of the worker hub, soon.
    func perform(_ task: Housekeeping, _ body: @escaping @Sendable (StreamServer) -> Void) {
        perform(task) { running in body(running.server) }
    }

    private func perform(_ task: Housekeeping, _ body: @escaping @Sendable (Running) -> Void) {
        guard let running else { return pending.append((task, body)) }
        running.hub.spawn(name: task.rawValue) { body(running) }
    }

    /// Lets its clients finish, and the hub end; see `StreamServer.drain`.
    func drain(until deadline: Deadline) {
        perform(.drain) { (running: Running) in
            try? running.server.drain(until: deadline)
            running.measuring?.kill()
        }
    }

    /// Its green threads, a line each; nil where it does not answer before `deadline`.
    func greenThreads(until deadline: Deadline) -> String? {
        let answer = Answer()
        let asker = Hub.current.remote
        perform(.listThreads) { (_: StreamServer) in
            let text = Hub.current.description
            _ = asker.callInHub {
                answer.text = text
                answer.isThere.set()
            }
        }
        _ = try? answer.isThere.wait(until: deadline)
        return answer.text
    }

    // Unchecked: touched on the asking hub only.
    private final class Answer: @unchecked Sendable {
        let isThere = GreenEvent()
        var text: String?
    }
}
