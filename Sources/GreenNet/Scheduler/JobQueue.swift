import Glibc
import Synchronization

/// Jobs that other OS threads send to the loop of a hub.  Safe to use from any OS thread at any time, also after the hub has closed.
///
/// Each handle on the hub holds it: where the scheduler alone does, no other OS thread can wake the hub.
final class JobQueue: Sendable {
    typealias Job = @Sendable () -> Void

    private struct State {
        /// Nil once the hub has closed.
        var bell: Bell?
        var jobs: [(run: Job, refuse: Job?)] = []
        /// The hub closes.  Jobs still get through, for green threads that clean up may wait for one.
        var refusesSpawns = false
    }

    // Guarded by the mutex like all of State; what it points to is thread-safe to send to.
    private struct Bell: @unchecked Sendable {
        let watcher: UnsafeMutablePointer<WakeWatcher>
        let loop: EventLoop
    }

    private let state: Mutex<State>
    /// For a look without the mutex.
    private let hasJobs = Atomic<Bool>(false)

    /// On the scheduler's OS thread.
    init(of scheduler: Scheduler, on loop: EventLoop) {
        let watcher = UnsafeMutablePointer<WakeWatcher>.make(
            on: loop, context: scheduler.address, callback: jobsCame)
        state = Mutex(State(bell: Bell(watcher: watcher, loop: loop)))
    }

    private func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// Has the loop run `job`, which must not wait.  Returns false where the hub has closed, or closes and `isSpawn`; `job` is dropped then.
    /// From any OS thread.
    ///
    /// With `refuse`, that is called where the hub closes before it has run `job`: on the hub's OS thread, once its green threads have ended.
    func send(isSpawn: Bool = false, _ job: @escaping Job, orIfClosed refuse: Job? = nil) -> Bool {
        withState { state in
            guard let bell = state.bell, !(isSpawn && state.refusesSpawns) else { return false }
            state.jobs.append((job, refuse))
            hasJobs.store(true, ordering: .releasing)
            // Under the lock: the loop is not destroyed before `close` has had it.
            bell.watcher.send(to: bell.loop)
            return true
        }
    }

    // MARK: On the scheduler's OS thread

    func run() {
        let jobs = withState { state in
            defer { state.jobs = [] }
            hasJobs.store(false, ordering: .relaxed)
            return state.jobs
        }
        for job in jobs { job.run() }
    }

    /// Looks for jobs until there are some, or a spin is over.  Returns whether there are.
    func appear() -> Bool { Spin.look { hasJobs.load(ordering: .acquiring) } }

    /// Else a hub might never have unwound all that come.
    func refuseSpawns() { withState { $0.refusesSpawns = true } }

    func close() {
        let last = withState { state in
            defer { state = State(bell: nil) }
            return state
        }
        last.bell?.watcher.free(on: last.bell!.loop)
        for job in last.jobs { job.refuse?() }
        // Its jobs are dropped here, outside the lock: what they hold may call again as it goes.
    }
}

/// In the loop.
private let jobsCame: WakeWatcher.Callback = { _, watcher, _ in
    let scheduler = Scheduler(WakeWatcher.context(watcher, as: Scheduler.Fields.self))
    scheduler.fields.pointee.spin.jobsCame = true
    scheduler.fields.pointee.jobs.run()
}
