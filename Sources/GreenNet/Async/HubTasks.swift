import Glibc
import Synchronization

/// What the two executors of a hub share: the queue of jobs, and the way to it from other OS threads.
final class HubTasks: Sendable {
    // Touched on the hub's OS thread only.
    nonisolated(unsafe) let queue: TaskQueue

    private struct Foreign {
        /// Nil once the hub has closed.  Not retained: a hub that no other code can wake recognises that by the count of references.
        var hub: Unmanaged<JobQueue>?
        /// Jobs that other OS threads have brought, one wake-up of the hub for all.
        var jobs: [ForeignJob] = []
    }

    /// Counted from the moment at which the hub takes it: other OS threads do not see a hub's virtual time.
    private struct ForeignJob: @unchecked Sendable {  // a job may be run on any OS thread
        let job: TaskJob
        let delay: Duration?
        /// The task that sleeps as long.
        let sleeper: UnsafeRawPointer?
    }

    // Guarded by the mutex; what `hub` refers to lives as long as it is there.
    private struct Guarded: @unchecked Sendable { var foreign: Foreign }

    private let state: Mutex<Guarded>
    /// The tasks of the whole process: they outlive their hub, and go on on the next one of the main OS thread.
    // Set while the process has one OS thread.
    nonisolated(unsafe) private(set) var areOfProcess = false

    init(of scheduler: Scheduler) {
        queue = TaskQueue(of: scheduler)
        state = Mutex(Guarded(foreign: Foreign()))
    }

    deinit { queue.free() }

    private func withForeign<Result>(_ body: (inout Foreign) -> Result) -> Result {
        state.withLock { guarded in Sanitizer.locked(self) { body(&guarded.foreign) } }
    }

    /// Whether the calling OS thread is that of the hub, which has not closed.
    @inline(__always)
    var isHere: Bool { Context.running?.scheduler.fields.pointee.tasks?.address == queue.address }

    // MARK: Jobs

    @inline(__always)
    func enqueue(_ job: TaskJob) {
        if isHere { queue.add(job) } else { send(ForeignJob(job: job, delay: nil, sleeper: nil)) }
    }

    func enqueue(_ job: TaskJob, after delay: Duration) {
        // Called by the task that is about to sleep.
        let sleeper = TaskWords.currentTask
        if isHere {
            queue.add(job, due: .after(delay), for: sleeper)
        } else {
            send(ForeignJob(job: job, delay: delay, sleeper: sleeper))
        }
    }

    private func send(_ job: ForeignJob) {
        let isAccepted = withForeign { foreign in
            guard let hub = foreign.hub else {
                if areOfProcess { foreign.jobs.append(job) }
                return areOfProcess
            }
            foreign.jobs.append(job)
            // Under the lock, which `close` takes before the hub goes: so it is accepted.
            if foreign.jobs.count == 1 { _ = hub.takeUnretainedValue().send { self.takeForeign() } }
            return true
        }
        if !isAccepted { HubTasks.moveOn(job.job, after: job.delay) }
        // The main OS thread has no hub now: the one that is made here takes the job.
        if areOfProcess, Context.running == nil, LinuxCalls.isMainThread { _ = Hub.current }
    }

    /// In the hub's loop.
    private func takeForeign() {
        guard isHere else { return }
        for job in removeForeign() {
            if let delay = job.delay {
                queue.add(job.job, due: .after(delay), for: job.sleeper)
            } else {
                queue.add(job.job)
            }
        }
    }

    private func removeForeign() -> [ForeignJob] {
        withForeign { foreign in
            let jobs = foreign.jobs
            foreign.jobs = []
            return jobs
        }
    }

    // MARK: The hub

    /// Jobs run on `hub` from now on.  On its OS thread.
    func attach(to hub: Hub) {
        // The closures must not retain this object: the references to it are counted.
        let (scheduler, tasks) = (hub.scheduler, Unmanaged.passUnretained(self))
        queue.attach(to: scheduler)
        scheduler.fields.pointee.tasks = TaskSupport(
            address: queue.address, runnerParks: queue.runnerParks,
            canBeWoken: { scheduler.hub.hasForeignExecutor && ProcessThreads.areSeveral },
            abandon: { tasks.takeUnretainedValue().abandon() }, close: { tasks.takeUnretainedValue().close(scheduler) })
        withForeign { $0.hub = Unmanaged.passUnretained(scheduler.fields.pointee.jobs) }
        takeForeign()
        queue.resume()
    }

    func becomeProcess() { areOfProcess = true }

    /// Ends `serve()` of the hub.  From any OS thread.
    func stopServing() {
        withForeign { _ = $0.hub?.takeUnretainedValue().send { Hub.current.stopServing() } }
    }

    /// In a forked child: the jobs are the parent's.
    private func abandon() {
        withForeign { $0 = Foreign() }
        queue.forget()
    }

    /// The green threads of the hub have ended, and with them each job that was ready.
    private func close(_ scheduler: Scheduler) {
        while let task = queue.takeAwaitedTask() { task.takeUnretainedValue().end() }
        withForeign { $0.hub = nil }
        if !areOfProcess {
            for job in removeForeign() { HubTasks.moveOn(job.job, after: job.delay) }
            queue.removeAll { job, due in HubTasks.moveOn(job, after: due.map { $0 - .now }) }
        }
        queue.endRunners()
        do { try scheduler.hub.run() } catch { fatalError("GreenNet: the hub can't close: \(error)") }
        scheduler.fields.pointee.tasks = nil
    }

    /// A task goes on without the hub.  An actor of the hub can't.
    private static func moveOn(_ job: TaskJob, after delay: Duration?) {
        guard !job.isSerial else { return reportLoss() }
        if let delay {
            enqueueGlobal(after: UInt64(max(0, delay.nanoseconds)), job.job)
        } else {
            enqueueGlobal(job.job)
        }
    }

    private static let losses = Atomic(0)
    /// How many jobs were lost in this process.
    static var lost: Int { losses.load(ordering: .relaxed) }

    /// Once: there may be a line for each of thousands of tasks otherwise.
    private static func reportLoss() {
        if losses.add(1, ordering: .relaxed).oldValue > 0 { return }
        writeToStandardError(
            "GreenNet: a task is lost: its actor runs on a hub that has closed (further ones are not reported)\n")
    }
}

// What the compiler calls for a task without a preference.

@_silgen_name("swift_task_enqueueGlobal")
private func enqueueGlobal(_ job: UnownedJob)

@_silgen_name("swift_task_enqueueGlobalWithDelay")
private func enqueueGlobal(after nanoseconds: UInt64, _ job: UnownedJob)
