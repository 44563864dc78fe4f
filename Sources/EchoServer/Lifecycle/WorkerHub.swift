import GreenNet

/// A further hub on an OS thread of its own, with a server that it runs until that is drained.
///
/// Owned by the hub that made it, on whose OS thread all of this is called.
final class HubThread {
    /// Set when its server has been drained and all its green threads have ended.
    let ended = GreenEvent()
    /// Set when it accepts, or can't.
    private let hasBegun = GreenEvent()
    private var failure: StartFailure?
    /// Nil until it is up, and what is to be done then.
    private var worker: Worker?
    private var waiting: [(duty: Housekeeping, body: @Sendable (Worker) -> Void)] = []

    private struct Worker: @unchecked Sendable {
        // Unchecked: the server is touched on its own hub only.
        let hub: RemoteHub
        let server: StreamServer
        /// Goes on for as long as the server does.
        let measuring: Greenlet<Void>?
    }

    private struct Owner: @unchecked Sendable {
        // Unchecked: the thread's handle is touched on its maker's hub only.
        let hub: RemoteHub
        let handle: HubThread
    }

    /// Starts the OS thread; `makeServer` and `measure` run on it, and what they make accepts on so many listeners.  Throws where the system
    /// has no more OS threads.
    init(
        listeners: Int, measure: @escaping @Sendable () -> Greenlet<Void>? = { nil },
        _ makeServer: @escaping @Sendable () throws -> StreamServer
    ) throws(SystemError) {
        let owner = Owner(hub: Hub.current.remote, handle: self)
        try OSThread.start(named: "hub", stackSize: OSThread.smallStack, blocksSignals: true) {
            do {
                let worker = try HubThread.start(listeners, makeServer, measure)
                _ = owner.hub.callInHub { owner.handle.begin(worker) }
            } catch {
                let failure = StartFailure(.system, "\(error)")
                _ = owner.hub.callInHub { owner.handle.fail(failure) }
                return
            }
            do { try Hub.current.run() } catch { fatalError("a worker's hub has failed: \(error)") }
            // Before its owner hears of the end, and lets go of the server on another OS thread.
            Hub.current.close()
            _ = owner.hub.callInHub { owner.handle.ended.set() }
        }
    }

    /// On the new OS thread.
    private static func start(
        _ listeners: Int, _ makeServer: () throws -> StreamServer, _ measure: () -> Greenlet<Void>?
    ) throws -> Worker {
        try Hub.prepare(stacks: Housekeeping.stacks(listeners: listeners))
        let server = try makeServer()
        server.start()
        return Worker(hub: Hub.current.remote, server: server, measuring: measure())
    }

    /// Returns when it accepts, and throws where it can't.
    func waitUntilUp() throws {
        try hasBegun.wait()
        if let failure { throw failure }
    }

    /// Runs `body` on a green thread of the other hub, soon.
    func perform(_ duty: Housekeeping, _ body: @escaping @Sendable (StreamServer) -> Void) {
        perform(duty) { worker in body(worker.server) }
    }

    private func perform(_ duty: Housekeeping, _ body: @escaping @Sendable (Worker) -> Void) {
        guard let worker else { return waiting.append((duty, body)) }
        worker.hub.spawn(name: duty.rawValue) { body(worker) }
    }

    /// Lets its clients finish, and the hub end; see `StreamServer.drain`.
    func drain(until deadline: Deadline) {
        perform(.drain) { (worker: Worker) in
            try? worker.server.drain(until: deadline)
            worker.measuring?.kill()
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

    /// Touched on the asking hub only.
    private final class Answer: @unchecked Sendable {
        let isThere = GreenEvent()
        var text: String?
    }

    private func begin(_ worker: Worker) {
        self.worker = worker
        hasBegun.set()
        for (duty, body) in waiting { perform(duty, body) }
        waiting = []
    }

    private func fail(_ failure: StartFailure) {
        self.failure = failure
        hasBegun.set()
        ended.set()
    }
}
