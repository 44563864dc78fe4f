import Synchronization

/// Reaches a hub from other OS threads; safe at any time, also after the hub has closed.
public final class RemoteHub: Sendable {
    private struct State {
        /// Nil once the hub has closed.
        var door: Door?
        var jobs: [@Sendable () -> Void] = []
        /// The hub closes.  Jobs still get through, for those who clean up may wait for one.
        var refusesSpawns = false
    }

    // Guarded by the mutex like all of State; what it points to is thread-safe to send to.
    private struct Door: @unchecked Sendable {
        let watcher: UnsafeMutablePointer<WakeWatcher>
        let loop: EventLoop
    }

    private let state: Mutex<State>

    init(wakes hub: HubPointer, on loop: EventLoop) {
        let watcher = UnsafeMutablePointer<WakeWatcher>.make(on: loop, context: hub, callback: remoteHasWork)
        state = Mutex(State(door: Door(watcher: watcher, loop: loop)))
    }

    /// Runs `body` on a green thread of the hub, soon.  Returns false where the hub has closed or is closing; `body` is dropped then.
    @discardableResult
    public func spawn(name: String? = nil, _ body: @escaping @Sendable () throws -> Void) -> Bool {
        send(isSpawn: true) { GreenNet.spawn(name: name, body) }
    }

    /// Makes the hub look around, which it does by itself whenever anything happens.  Returns false where the hub has closed.
    @discardableResult
    public func wake() -> Bool { callInHub {} }

    /// Runs `job` in the loop, where it must not wait.  Returns false where the hub has closed.
    package func callInHub(_ job: @escaping @Sendable () -> Void) -> Bool { send(isSpawn: false, job) }

    private func send(isSpawn: Bool, _ job: @escaping @Sendable () -> Void) -> Bool {
        withState { state in
            guard let door = state.door, !(isSpawn && state.refusesSpawns) else { return false }
            state.jobs.append(job)
            // Under the lock: the loop is not destroyed before `close` has had it.
            door.watcher.send(to: door.loop)
            return true
        }
    }

    private func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    fileprivate func runJobs() {
        let jobs = withState { state in
            defer { state.jobs = [] }
            return state.jobs
        }
        for job in jobs { job() }
    }

    /// Else a hub might never have unwound all that come.
    func refuseSpawns() { withState { $0.refusesSpawns = true } }

    func close() {
        let last = withState { state in
            defer { state = State(door: nil) }
            return state
        }
        last.door?.watcher.free(on: last.door!.loop)
        // Its jobs are dropped here, outside the lock: what they hold may call again as it goes.
    }
}

/// In the loop.
private let remoteHasWork: WakeWatcher.Callback = { _, watcher, _ in
    WakeWatcher.context(watcher, as: HubState.self).pointee.remote.runJobs()
}
